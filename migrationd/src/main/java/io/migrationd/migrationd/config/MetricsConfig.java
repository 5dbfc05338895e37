package io.migrationd.migrationd.config;

import java.net.InetSocketAddress;
import java.util.Optional;

/**
 * The metrics page.
 *
 * @param address a loopback address, port 0 for any; empty when switched off
 */
public record MetricsConfig(Optional<InetSocketAddress> address) {}
