package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.outgoing.OutgoingMigration;
import io.migrationd.migrationd.outgoing.OutgoingRequest;
import io.migrationd.migrationd.outgoing.OutgoingRequest.Release;
import io.migrationd.migrationd.outgoing.OutgoingStatus;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.RecoverySettings;
import java.util.Optional;
import java.util.Set;

/** What serve and replace tell the engine that sends, and how they read its answer. */
final class Requests {
    private Requests() {}

    static OutgoingRequest outgoing(
            RescueRequest request, Set<Capability> capabilities, EventSink events, Release release) {
        MigrationParameters parameters = parameters(request.limits().maxBandwidth());
        long patienceMillis = request.limits().patienceMillis();
        RecoverySettings defaults = RecoverySettings.DEFAULTS;
        return new OutgoingRequest(
                request.id(),
                request.copy().guest(),
                request.uri(),
                request.links(),
                capabilities,
                () -> parameters,
                events,
                patienceMillis,
                // An attempt at an address that no migrate-recover has opened would only do harm.
                new RecoverySettings(false, defaults.maxIntervalMillis(), patienceMillis, defaults.answerMillis()),
                release,
                Optional.of(request.copy().stream().original()));
    }

    private static MigrationParameters parameters(long maxBandwidth) {
        MigrationParameters defaults = MigrationParameters.DEFAULTS;
        return new MigrationParameters(
                maxBandwidth,
                defaults.downtimeLimitMillis(),
                defaults.availSwitchoverBandwidth(),
                defaults.xbzrleCacheSize(),
                defaults.announceInitialMillis(),
                defaults.announceMaxMillis(),
                defaults.announceRounds(),
                defaults.announceStepMillis(),
                maxBandwidth,
                defaults.postcopyPolicy(),
                defaults.postcopyBudgetMillis());
    }

    static RescueStatus status(OutgoingMigration migration, DrainedCopy copy) {
        OutgoingStatus status = migration.status();
        MigrationInfo info = migration.info();
        MigrationInfo.RamCounters ram = info.ram();
        long pageBytes = copy.pageSizeBytes();
        long totalPages = copy.totalBytes() / pageBytes;
        long left = ram == null || status == OutgoingStatus.SETUP ? totalPages : ram.remaining() / pageBytes;
        if (status == OutgoingStatus.COMPLETED) {
            left = 0;
        }
        Optional<String> error = Optional.ofNullable(info.errorDesc());
        boolean inDoubt = !status.isPostcopy() && status != OutgoingStatus.COMPLETED && migration.isReleased();
        return new RescueStatus(state(status, error.isPresent()), totalPages - left, totalPages, error, inDoubt);
    }

    private static RescueState state(OutgoingStatus status, boolean failedBefore) {
        return switch (status) {
            case SETUP -> RescueState.WAITING;
            case POSTCOPY_PAUSED -> failedBefore ? RescueState.PAUSED : RescueState.WAITING;
            case POSTCOPY_RECOVER_SETUP, POSTCOPY_RECOVER -> RescueState.AGREEING;
            case ACTIVE, POSTCOPY_ACTIVE -> RescueState.TRANSFERRING;
            case PRE_SWITCHOVER, DEVICE -> RescueState.LAST_WORD;
            case COMPLETED -> RescueState.COMPLETED;
            case FAILED -> RescueState.FAILED;
            case CANCELLING, CANCELLED -> RescueState.CANCELLED;
        };
    }
}
