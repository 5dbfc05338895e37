package io.migrationd.migrationd;

import io.migrationd.migrationd.journal.OwnershipLedger;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.session.EventSink;

/** What every guest of the daemon shares. */
record GuestServices(
        Links links,
        EventSink events,
        Meters meters,
        OwnershipLedger ownership,
        long replyTimeoutMillis,
        long peerSilenceMillis,
        int deviceStateBytes,
        boolean listenBeyondLoopback) {}
