package io.migrationd.migrationd.control;

import java.time.Instant;
import java.util.Map;
import java.util.function.Supplier;

/**
 * What {@code daemon-status} says of the daemon itself.
 *
 * @param version of migrationd
 * @param startedAt when this process began to serve
 * @param hostFeatures what this host can do, for example {@code uffd-wp-async: true}; values as for events
 */
public record DaemonFacts(String version, long pid, Instant startedAt, Supplier<Map<String, Object>> hostFeatures) {}
