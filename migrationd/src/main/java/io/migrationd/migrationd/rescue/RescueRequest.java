package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.EventSink;

/**
 * What a rescue is made of.
 *
 * @param id names its threads and log lines
 * @param uri where the source is awaited (drain), or the destination listens (serve, replace)
 * @param preempt whether capability postcopy-preempt is on in the QEMU
 * @param events told of each step, as MIGRATION events with QEMU's status names
 */
public record RescueRequest(
        String id,
        DrainedCopy copy,
        MigrationUri uri,
        Links links,
        boolean preempt,
        EventSink events,
        RescueLimits limits) {}
