package io.migrationd.migrationd;

import io.migrationd.migrationd.journal.MigrationLedger;
import io.migrationd.migrationd.journal.OwnershipLedger;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.report.MigrationReportWriter;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.RecoverySettings;

/** What every guest of the daemon shares. */
record GuestServices(
        Links links,
        EventSink events,
        Meters meters,
        MigrationReportWriter reports,
        OwnershipLedger ownership,
        MigrationLedger migrations,
        RecoverySettings recovery,
        long replyTimeoutMillis,
        long peerSilenceMillis,
        int deviceStateBytes,
        boolean listenBeyondLoopback) {}
