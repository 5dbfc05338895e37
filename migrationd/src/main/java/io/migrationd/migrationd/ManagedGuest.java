package io.migrationd.migrationd;

import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.control.GuestOperations;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.process.ProcessGuest;
import io.migrationd.migrationd.incoming.IncomingMigration;
import io.migrationd.migrationd.incoming.IncomingRequest;
import io.migrationd.migrationd.journal.MigrationRecord;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.metrics.Meters.Role;
import io.migrationd.migrationd.outgoing.OutgoingMigration;
import io.migrationd.migrationd.outgoing.OutgoingRequest;
import io.migrationd.migrationd.outgoing.OutgoingStatus;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.Failures;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.postcopy.memory.RamBlock;
import java.io.IOException;
import java.net.UnknownHostException;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One guest of this host with the migration that is under way or was last: what the control sockets talk to. At most
 * one engine works on a guest at a time. Thread-safe.
 */
final class ManagedGuest implements GuestOperations, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ManagedGuest.class);
    private static final AtomicLong SESSIONS = new AtomicLong();
    private static final long CLEAN_UP_MILLIS = 2_000;

    private final Guest guest;
    private final GuestServices services;
    // Written under this; engines and their events read without it.
    private final Set<Capability> capabilities = EnumSet.noneOf(Capability.class);
    private volatile MigrationParameters parameters = MigrationParameters.DEFAULTS;
    private volatile @Nullable OutgoingMigration outgoing;
    private volatile @Nullable IncomingMigration incoming;
    /** The migration by which it came, when it has left since. */
    private @Nullable IncomingMigration answering;

    ManagedGuest(Guest guest, GuestServices services) {
        this.guest = guest;
        this.services = services;
    }

    Guest guest() {
        return guest;
    }

    /** Whether an engine works on it. */
    synchronized boolean isMigrating() {
        return (outgoing != null && outgoing.isBusy()) || (incoming != null && incoming.isBusy());
    }

    @Override
    public GuestView view() {
        ProcessGuest process = guest instanceof ProcessGuest p ? p : null;
        MigrationInfo info = queryMigrate();
        return new GuestView(
                guest.name(),
                guest.kind(),
                guest.runState(),
                guest.uuid().map(UUID::toString).orElse(null),
                guest.machineType().orElse(null),
                guest.ram().stream().mapToLong(RamBlock::lengthBytes).sum(),
                guest.ram().stream()
                        .map(b -> new BlockView(b.name(), b.lengthBytes(), b.pageSizeBytes()))
                        .toList(),
                devices(),
                process == null ? null : process.pid(),
                info.status(),
                process == null ? null : process.checkReport().orElse(null));
    }

    private List<DeviceView> devices() {
        if (guest instanceof ProcessGuest process) {
            return process.devices().stream()
                    .map(d -> new DeviceView(d.idstr(), Integer.toUnsignedLong(d.instanceId()), d.version(), -1))
                    .toList();
        }
        try {
            return guest.saveDevices().stream().map(ManagedGuest::view).toList();
        } catch (GuestException e) {
            return List.of();
        }
    }

    private static DeviceView view(DeviceSection device) {
        return new DeviceView(
                device.idstr(), Integer.toUnsignedLong(device.instanceId()), device.version(), device.body().length);
    }

    @Override
    public synchronized void migrate(String uri) throws CommandException {
        MigrationUri target = parse(uri);
        refuseIfMigrating();
        switch (guest.runState()) {
            case INMIGRATE -> throw new CommandException("Guest is waiting for an incoming migration");
            case POSTMIGRATE, FINISH_MIGRATE ->
                throw new CommandException("Can't migrate the vm that was paused due to previous migration");
            case SHUTDOWN -> throw new CommandException("the process of guest '%s' is gone".formatted(guest.name()));
            case RUNNING, PAUSED -> {
                // These can go.
            }
        }
        refuseIfReleased();
        if (capabilities.contains(Capability.SWITCHOVER_ACK) && !capabilities.contains(Capability.RETURN_PATH)) {
            throw new CommandException("Capability 'switchover-ack' requires capability 'return-path'");
        }
        if (incoming != null) {
            // It may still have to tell its source that it is complete.
            answering = incoming;
        }
        incoming = null;
        outgoing = new OutgoingMigration(outgoingRequest(target, capabilities));
        outgoing.start();
    }

    private OutgoingRequest outgoingRequest(MigrationUri target, Set<Capability> with) {
        return new OutgoingRequest(
                Long.toString(SESSIONS.incrementAndGet()),
                guest,
                target,
                services.links(),
                with,
                () -> parameters,
                new ReportedEvents(
                        new MeteredEvents(services.events(), services.meters(), Role.SOURCE, this::outgoingInfo),
                        this::outgoingInfo,
                        last -> services.reports().sent(guest.name(), guest.uuid(), target.toString(), last)),
                services.replyTimeoutMillis(),
                services.recovery(),
                new HandOver(guest, services, target, with));
    }

    private IncomingRequest incomingRequest(MigrationUri source, Set<Capability> with) {
        return new IncomingRequest(
                Long.toString(SESSIONS.incrementAndGet()),
                guest,
                source,
                services.links(),
                with,
                new ReportedEvents(
                        new MeteredEvents(services.events(), services.meters(), Role.DESTINATION, this::incomingInfo),
                        this::incomingInfo,
                        last -> services.reports().received(guest.name(), guest.uuid(), last)),
                services.peerSilenceMillis(),
                services.deviceStateBytes(),
                services.recovery(),
                new TakeOver(guest, services, with));
    }

    /**
     * Goes on with what a daemon before this one has left: called when the guest is there again. Does nothing if there
     * is nothing, or if it is under way already.
     */
    synchronized void goOnAfterRestart() {
        Optional<MigrationRecord> found = services.migrations().find(guest.name());
        if (found.isEmpty() || outgoing != null || incoming != null) {
            return;
        }
        MigrationRecord left = found.get();
        String uuid = guest.uuid().map(UUID::toString).orElse(null);
        if (!Objects.equals(left.uuid(), uuid)) {
            log.atWarn()
                    .addKeyValue("guest", guest.name())
                    .addKeyValue("recorded", left.uuid())
                    .addKeyValue("uuid", uuid)
                    .log("a migration record is of another guest of that name; left alone");
            return;
        }
        try {
            goOn(left);
        } catch (IOException | IllegalArgumentException e) {
            log.atError()
                    .addKeyValue("guest", guest.name())
                    .setCause(e)
                    .log("the migration of an earlier daemon was not taken over");
        }
    }

    /** A daemon was killed between the stop of its guest and the release: the guest goes on here. */
    private void startAgain() throws IOException {
        if (!services.ownership().isReleased(guest) && guest instanceof ProcessGuest process) {
            process.stoppedByMigration();
            process.resumeAfterFailure();
        }
        services.migrations().remove(guest.name());
    }

    private void goOn(MigrationRecord left) throws IOException {
        Set<Capability> with = EnumSet.noneOf(Capability.class);
        left.capabilities().forEach(name -> Capability.named(name).ifPresent(with::add));
        capabilities.addAll(with);
        MigrationUri uri = MigrationUri.parse(left.uri());
        boolean waits = guest.runState() == RunState.INMIGRATE;
        if (left.phase().equals(MigrationRecord.STOPPING)) {
            startAgain();
        } else if (left.role().equals(MigrationRecord.SOURCE)) {
            boolean staysPaused = left.paused() && guest.runState() == RunState.PAUSED;
            if (guest instanceof ProcessGuest process && !staysPaused) {
                process.stoppedByMigration();
            }
            outgoing = OutgoingMigration.reopen(outgoingRequest(uri, with), left.recoveryCount());
            outgoing.start();
        } else if (!left.phase().equals(MigrationRecord.UNDER_WAY)) {
            incoming = IncomingMigration.answering(
                    incomingRequest(uri, with), left.phase().equals(MigrationRecord.COMPLETE));
        } else if (waits && !guest.holdsIncoming()) {
            // Its daemon died between the package and RUN: nobody has run it, and nobody will.
            IncomingRequest request = incomingRequest(uri, with);
            request.acceptance().postcopyEnded(false);
            incoming = IncomingMigration.answering(request, false);
        } else {
            incoming = IncomingMigration.reopen(incomingRequest(uri, with), left.recoveryCount());
        }
    }

    @Override
    public synchronized void migrateIncoming(String uri) throws CommandException {
        MigrationUri source = parse(uri);
        refuseBeyondLoopback(source);
        refuseIfMigrating();
        if (guest.runState() != RunState.INMIGRATE) {
            throw new CommandException("guest '%s' does not wait for an incoming migration: it is %s"
                    .formatted(guest.name(), guest.runState().qmpName()));
        }
        stopAnswering();
        outgoing = null;
        try {
            services.migrations().remove(guest.name());
            incoming = IncomingMigration.listen(incomingRequest(source, capabilities));
        } catch (IOException e) {
            throw new CommandException(Failures.describe(e), e);
        }
    }

    /** Whoever sends this guest anew has no use for the end of an earlier migration. */
    private void stopAnswering() {
        if (incoming != null) {
            incoming.close();
        }
        if (answering != null) {
            answering.close();
            answering = null;
        }
    }

    private void refuseBeyondLoopback(MigrationUri source) throws CommandException {
        if (services.listenBeyondLoopback() || !(source instanceof MigrationUri.Tcp tcp)) {
            return;
        }
        try {
            if (tcp.isLoopback()) {
                return;
            }
        } catch (UnknownHostException e) {
            throw new CommandException("no such host: '%s'".formatted(tcp.host()), e);
        }
        throw new CommandException(
                "%s is not loopback: this daemon listens beyond it only with TLS, or when stream.listen-beyond-loopback is true"
                        .formatted(tcp));
    }

    private static MigrationUri parse(String uri) throws CommandException {
        try {
            return MigrationUri.parse(uri);
        } catch (IllegalArgumentException e) {
            throw new CommandException(Failures.describe(e), e);
        }
    }

    /** Refuses while an engine works on the guest; waits a moment for one that is letting go. */
    void refuseIfMigrating() throws CommandException {
        awaitCleanUp();
        if (isMigrating()) {
            throw new CommandException("There's a migration process in progress");
        }
    }

    /**
     * The last status shows a moment before the engine lets go of the guest: who asks at once is not refused for that.
     */
    private void awaitCleanUp() throws CommandException {
        OutgoingMigration sending = outgoing;
        IncomingMigration receiving = incoming;
        try {
            if (sending != null && sending.status().isTerminal() && !sending.awaitEnd(CLEAN_UP_MILLIS)) {
                throw new CommandException(
                        "the last migration of guest '%s' is still being cleaned up".formatted(guest.name()));
            }
            if (receiving != null && receiving.status().isTerminal() && !receiving.awaitEnd(CLEAN_UP_MILLIS)) {
                throw new CommandException(
                        "the last migration of guest '%s' is still being cleaned up".formatted(guest.name()));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new CommandException("interrupted", e);
        }
    }

    @Override
    public synchronized void migrateResume(String uri) throws CommandException {
        MigrationUri target = parse(uri);
        if (outgoing == null) {
            throw new CommandException("Cannot resume if there is no paused migration");
        }
        refuse(outgoing.resume(target));
        try {
            new HandOver(guest, services, target, capabilities).moved();
        } catch (IOException e) {
            throw new CommandException(Failures.describe(e), e);
        }
    }

    @Override
    public synchronized void migrateStartPostcopy() throws CommandException {
        if (outgoing == null) {
            throw new CommandException("Postcopy must be started after migration has been started");
        }
        refuse(outgoing.startPostcopy());
    }

    @Override
    public synchronized void migratePause() throws CommandException {
        if (outgoing != null) {
            refuse(outgoing.pause());
        } else if (incoming == null || !incoming.pause()) {
            throw new CommandException("migrate-pause is currently only supported during postcopy-active state");
        }
    }

    @Override
    public synchronized void migrateRecover(String uri) throws CommandException {
        MigrationUri source = parse(uri);
        refuseBeyondLoopback(source);
        if (incoming == null) {
            throw new CommandException("Migrate recover can only be run when postcopy is paused.");
        }
        try {
            incoming.recover(source);
        } catch (IOException e) {
            throw new CommandException(Failures.describe(e), e);
        }
    }

    private static void refuse(Optional<String> reason) throws CommandException {
        if (reason.isPresent()) {
            throw new CommandException(reason.get());
        }
    }

    @Override
    public synchronized void migrateCancel() throws CommandException {
        if (outgoing != null && !outgoing.cancel()) {
            throw new CommandException("too late to cancel: the destination has been allowed to start the guest");
        }
        if (incoming != null && !incoming.cancel()) {
            throw new CommandException("too late to cancel: the guest is being started here");
        }
    }

    @Override
    public synchronized void migrateContinue(String state) throws CommandException {
        OutgoingStatus now = outgoing == null ? null : outgoing.status();
        if (outgoing == null || now == null || !now.qmpName().equals(state)) {
            throw new CommandException("Migration not in expected state: " + (now == null ? "none" : now.qmpName()));
        }
        if (!outgoing.continueSwitchover()) {
            throw new CommandException("Migration not in expected state: " + now.qmpName());
        }
    }

    @Override
    public synchronized void setCapabilities(Map<Capability, Boolean> changes) throws CommandException {
        refuseIfMigrating();
        for (Map.Entry<Capability, Boolean> change : changes.entrySet()) {
            if (change.getValue() && !change.getKey().supported()) {
                throw new CommandException("Capability '%s' is not supported by this daemon"
                        .formatted(change.getKey().qmpName()));
            }
        }
        changes.forEach((capability, on) -> {
            if (on) {
                capabilities.add(capability);
            } else {
                capabilities.remove(capability);
            }
        });
    }

    @Override
    public synchronized Set<Capability> capabilities() {
        return capabilities.isEmpty() ? Set.of() : EnumSet.copyOf(capabilities);
    }

    @Override
    public synchronized void setParameters(MigrationParameters changed) {
        parameters = changed;
        if (outgoing != null) {
            outgoing.parametersChanged();
        }
    }

    @Override
    public MigrationParameters parameters() {
        return parameters;
    }

    @Override
    public synchronized MigrationInfo queryMigrate() {
        if (outgoing != null) {
            return outgoing.info();
        }
        return incoming != null ? incoming.info() : MigrationInfo.NONE;
    }

    private MigrationInfo outgoingInfo() {
        OutgoingMigration now = outgoing;
        return now == null ? MigrationInfo.NONE : now.info();
    }

    private MigrationInfo incomingInfo() {
        IncomingMigration now = incoming;
        return now == null ? MigrationInfo.NONE : now.info();
    }

    @Override
    public RunState queryStatus() {
        return guest.runState();
    }

    @Override
    public synchronized void stop() throws CommandException {
        if (!(guest instanceof ProcessGuest process)) {
            return;
        }
        refuseIfMigrating();
        try {
            process.pause();
        } catch (IOException e) {
            throw new CommandException(Failures.describe(e), e);
        }
    }

    @Override
    public synchronized void cont() throws CommandException {
        if (guest.kind() == GuestKind.PARKED) {
            throw new CommandException("guest '%s' is parked: it has no process; migrate it to one that can run it"
                    .formatted(guest.name()));
        }
        refuseIfReleased();
        if (isMigrating()) {
            throw new CommandException("Migration is not finalized yet");
        }
        if (guest instanceof ProcessGuest process) {
            try {
                process.continueRunning();
            } catch (IOException e) {
                throw new CommandException(Failures.describe(e), e);
            }
        }
    }

    @Override
    public synchronized void reclaim() throws CommandException {
        if (outgoing != null && outgoing.status() == OutgoingStatus.POSTCOPY_PAUSED) {
            // A person says that the destination is no more; who would be asked again and again otherwise.
            outgoing.close();
            outgoing = null;
        }
        refuseIfMigrating();
        if (!services.ownership().isReleased(guest)) {
            throw new CommandException("guest '%s' was not given away".formatted(guest.name()));
        }
        if (guest.runState() == RunState.POSTMIGRATE) {
            throw new CommandException("the destination has said that it has guest '%s' (given to %s)"
                    .formatted(guest.name(), services.ownership().releasedTo(guest)));
        }
        try {
            services.migrations().remove(guest.name());
            services.ownership().forget(guest);
            guest.resumeAfterFailure();
        } catch (IOException e) {
            throw new CommandException(Failures.describe(e), e);
        }
        if (guest.runState() == RunState.RUNNING) {
            services.events().event(guest.name(), "RESUME", Map.of());
        }
    }

    private void refuseIfReleased() throws CommandException {
        if (services.ownership().isReleased(guest)) {
            throw new CommandException(
                    "guest '%s' was given to %s: running it from here as well would run it twice (guest-reclaim takes it back)"
                            .formatted(guest.name(), services.ownership().releasedTo(guest)));
        }
    }

    @Override
    public void close() {
        OutgoingMigration sending;
        IncomingMigration receiving;
        IncomingMigration past;
        synchronized (this) {
            sending = outgoing;
            receiving = incoming;
            past = answering;
        }
        if (past != null) {
            past.close();
        }
        if (sending != null) {
            sending.close();
        }
        if (receiving != null) {
            receiving.close();
        }
    }
}
