package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.incoming.IncomingStatus.Event;
import io.migrationd.migrationd.incoming.PostcopyReception.Sections;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.Failures;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.ShutStatus;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.vmstate.OpaqueSectionReader;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReturnPathSender;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One incoming migration: listens, takes the first connection, owns the thread {@code mig-load-<id>}. Whatever fails
 * before the guest is whole leaves nothing of it here and is told to the source by SHUT(1).
 */
public final class IncomingMigration implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(IncomingMigration.class);
    /** The main connection and the preempt channel. */
    private static final int CALLERS = 2;

    private static final byte FIRST_OF_MAGIC = (byte) (StreamHeader.MAGIC >>> 24);
    private static final long JOIN_MILLIS = 10_000;
    private static final long NANOS_PER_MILLI = 1_000_000;

    private final IncomingRequest request;
    private final Guest guest;
    private final ReentrantLock lock = new ReentrantLock();
    // Guarded by lock.
    private Links.@Nullable Listener listener;
    /** Where it listens or listened last, with the real port. */
    private MigrationUri uri;

    private IncomingStatus status = IncomingStatus.SETUP;
    private @Nullable Throwable failure;
    private @Nullable MigrationChannel channel;
    private @Nullable Thread thread;
    private long connectedNanos;
    private long endedNanos;
    private boolean committing;
    /** With preempt, before LISTEN: the main connection and its second one, in any order. */
    private final Set<MigrationChannel> callers = new HashSet<>();

    private @Nullable EndAnswers answers;
    private volatile @Nullable PostcopyReception reception;

    private volatile @Nullable StreamLoader loader;

    private IncomingMigration(IncomingRequest request) {
        this.request = request;
        this.guest = request.guest();
        this.uri = request.uri();
    }

    private void openListener(MigrationUri at) throws IOException {
        // A connection that comes at once waits in accepted() until the listener is known.
        lock.lock();
        try {
            Links.Listener opened = request.links().listen(at, this::accepted);
            listener = opened;
            uri = opened.uri();
        } finally {
            lock.unlock();
        }
    }

    /** Starts to listen. The event {@code MIGRATION setup} is announced. */
    public static IncomingMigration listen(IncomingRequest request) throws IOException {
        IncomingMigration migration = new IncomingMigration(request);
        migration.openListener(request.uri());
        migration.announce(IncomingStatus.SETUP);
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", request.guest().name())
                .addKeyValue("uri", migration.uri())
                .log("listening for a migration");
        return migration;
    }

    /**
     * Goes on with a postcopy whose daemon has died: the guest runs here, and its source is awaited. An address that is
     * taken is no failure: migrate-recover names another.
     *
     * @param breaks how often its connection had broken before
     */
    public static IncomingMigration reopen(IncomingRequest request, long breaks) throws IOException {
        IncomingMigration migration = new IncomingMigration(request);
        IncomingMemory memory = request.guest().reopenIncoming(request.id());
        Sections sections = new Sections(null, Optional.empty(), request.guest().targetPageSizeBytes());
        migration.connectedNanos = System.nanoTime();
        migration.status = IncomingStatus.POSTCOPY_PAUSED;
        PostcopyReception paused =
                new PostcopyReception(request, memory, new ReturnPathSender(), sections, migration.new StatusKeeper());
        paused.startPaused(breaks);
        migration.reception = paused;
        migration.announce(IncomingStatus.POSTCOPY_PAUSED);
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", request.guest().name())
                .addKeyValue("uri", request.uri())
                .log("postcopy taken over from a dead daemon");
        try {
            migration.openListener(request.uri());
        } catch (IOException e) {
            migration.failure = e;
            log.atError()
                    .addKeyValue("guest", request.guest().name())
                    .setCause(e)
                    .log("migrate-recover is needed");
        }
        return migration;
    }

    /** Only answers a source that has not heard how its migration ended. */
    public static IncomingMigration answering(IncomingRequest request, boolean complete) throws IOException {
        IncomingMigration migration = new IncomingMigration(request);
        migration.status = complete ? IncomingStatus.COMPLETED : IncomingStatus.FAILED;
        migration.answerFromNowOn(complete ? ShutStatus.COMPLETE : ShutStatus.NEVER_RAN);
        migration.openListener(request.uri());
        return migration;
    }

    /** Where it listens, with the real port. */
    public MigrationUri uri() {
        lock.lock();
        try {
            return uri;
        } finally {
            lock.unlock();
        }
    }

    /** Where it stands. */
    public IncomingStatus status() {
        lock.lock();
        try {
            return status;
        } finally {
            lock.unlock();
        }
    }

    /** Stops it; nothing of the guest stays here. False if it is too late: the guest is being started. */
    public boolean cancel() {
        lock.lock();
        try {
            if (status.isTerminal()) {
                return true;
            }
            StreamLoader reading = loader;
            if (status.isPostcopy() || committing || (reading != null && reading.hasPromised())) {
                return false;
            }
            transition(Event.CANCEL);
            if (channel != null) {
                channel.abort(new IOException("the incoming migration was cancelled"));
            }
            hangUpOnCallers();
            if (reading != null && reading.isPostcopyRecorded()) {
                // The source may have given the guest away already, and will ask.
                return true;
            }
        } finally {
            lock.unlock();
        }
        closeListener();
        return true;
    }

    /** migrate-pause: breaks the connection of a postcopy. False if it has none now. */
    public boolean pause() {
        PostcopyReception receiving = reception;
        return receiving != null && receiving.connections().pauseByHand();
    }

    /**
     * Breaks the connection of a postcopy, if there is one, and takes no other. False when the source has sent
     * everything and waits for our word: a QEMU would run its old copy if it did not get that.
     */
    public boolean stopTaking() {
        PostcopyReception receiving = reception;
        return receiving == null || receiving.connections().stopTaking();
    }

    /** Whether the source of a postcopy has sent everything, so that only our word is left. */
    public boolean isWordDue() {
        PostcopyReception receiving = reception;
        return receiving != null && receiving.connections().isWordDue();
    }

    /** Bytes of RAM that a postcopy still waits for; empty before there is one. */
    public OptionalLong missingBytes() {
        PostcopyReception receiving = reception;
        return receiving == null ? OptionalLong.empty() : OptionalLong.of(receiving.missingBytes());
    }

    /** migrate-recover: awaits the source at another address, or again at the same. */
    public void recover(MigrationUri at) throws IOException {
        PostcopyReception receiving = reception;
        if (receiving == null || status() != IncomingStatus.POSTCOPY_PAUSED) {
            throw new IOException(
                    "the status is '%s', only a paused postcopy can be recovered".formatted(status().qmpName()));
        }
        closeListener();
        openListener(at);
        receiving.connections().release();
        request.acceptance().moved(uri());
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .addKeyValue("uri", uri())
                .log("the source is awaited");
    }

    private void closeListener() {
        Links.Listener open;
        lock.lock();
        try {
            open = listener;
            listener = null;
        } finally {
            lock.unlock();
        }
        if (open != null) {
            open.close();
        }
    }

    /** One look at it, from any thread. */
    public MigrationInfo info() {
        lock.lock();
        try {
            boolean connected = connectedNanos != 0;
            long end = endedNanos == 0 ? System.nanoTime() : endedNanos;
            return new MigrationInfo(
                    status.qmpName(),
                    connected ? Long.valueOf((end - connectedNanos) / NANOS_PER_MILLI) : null,
                    null,
                    null,
                    null,
                    null,
                    counters(),
                    null,
                    reception == null ? null : reception.info(),
                    failure == null ? null : Failures.describe(failure),
                    List.of(),
                    listener != null && (status == IncomingStatus.SETUP || status.isPostcopy())
                            ? List.of(uri.toString())
                            : List.of());
        } finally {
            lock.unlock();
        }
    }

    /** Whether it still uses the guest: a cancelled one until what came is thrown away. */
    public boolean isBusy() {
        lock.lock();
        try {
            return !status.isTerminal()
                    || (thread != null && thread.isAlive())
                    || (reception != null && !answering() && reception.isAlive());
        } finally {
            lock.unlock();
        }
    }

    /** Waits until the loading thread has ended; true if none runs. */
    public boolean awaitEnd(long timeoutMillis) throws InterruptedException {
        Thread running;
        lock.lock();
        try {
            running = thread;
        } finally {
            lock.unlock();
        }
        if (running == null) {
            return status().isTerminal();
        }
        running.join(timeoutMillis);
        if (running.isAlive()) {
            return false;
        }
        PostcopyReception receiving = reception;
        return receiving == null || receiving.awaitEnd(timeoutMillis);
    }

    @Override
    public void close() {
        closeListener();
        PostcopyReception receiving = reception;
        if (receiving != null) {
            receiving.close();
        }
        EndAnswers answering;
        lock.lock();
        try {
            answering = answers;
        } finally {
            lock.unlock();
        }
        if (answering != null) {
            answering.close();
        }
        if (status().isPostcopy()) {
            log.atInfo()
                    .addKeyValue("session", request.id())
                    .addKeyValue("guest", guest.name())
                    .log("postcopy goes on when the daemon is back");
            return;
        }
        if (!cancel()) {
            log.atWarn().addKeyValue("session", request.id()).log("waiting for the guest's start to finish");
        }
        try {
            if (!awaitEnd(JOIN_MILLIS)) {
                log.atError().addKeyValue("session", request.id()).log("loading thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** Event loop: must not block. The first connection is the source. */
    private void accepted(MigrationChannel opened) {
        lock.lock();
        try {
            PostcopyReception receiving = reception;
            if (answers != null) {
                answers.answer(opened);
            } else if (receiving != null) {
                receiving.connections().accepted(opened);
            } else if (has(Capability.POSTCOPY_PREEMPT) && !status.isTerminal() && callers.size() < CALLERS) {
                hearOut(opened);
            } else if (status == IncomingStatus.SETUP && channel == null) {
                Connection connection = Connection.of(opened);
                Thread reader =
                        Thread.ofPlatform().name("mig-load-" + request.id()).unstarted(() -> run(connection));
                opened.failIfSilent(request.peerSilenceMillis());
                begin(opened, reader);
                reader.start();
            } else {
                log.atWarn()
                        .addKeyValue("session", request.id())
                        .addKeyValue("peer", opened.peer())
                        .log("extra connection refused");
                opened.abort(new IOException("a migration is under way on another connection"));
            }
        } finally {
            lock.unlock();
        }
    }

    /** Which of two connections is the main one shows when it speaks; the preempt channel may be silent for long. */
    private void hearOut(MigrationChannel opened) {
        callers.add(opened);
        request.links().later(request.peerSilenceMillis(), () -> {
            if (status() == IncomingStatus.SETUP) {
                opened.abort(new IOException(
                        "the source has sent nothing for %d ms".formatted(request.peerSilenceMillis())));
            }
        });
        Thread.ofPlatform().name("mig-hello-" + request.id()).start(() -> hear(Connection.of(opened)));
    }

    private void hear(Connection caller) {
        ByteBuffer first = null;
        IOException broken = null;
        try {
            first = caller.in().peek(1);
        } catch (IOException e) {
            broken = e;
        }
        if (first != null && first.get(0) == FIRST_OF_MAGIC && becomesMain(caller.channel())) {
            Thread.currentThread().setName("mig-load-" + request.id());
            run(caller);
            return;
        }
        PostcopyReception receiving = reception;
        if (receiving != null) {
            Thread.currentThread().setName("mig-urgent-" + request.id());
            receiving.readUrgent(caller);
            return;
        }
        log.atDebug().addKeyValue("session", request.id()).setCause(broken).log("a second connection has ended");
        lock.lock();
        try {
            callers.remove(caller.channel());
        } finally {
            lock.unlock();
        }
        caller.channel().abort(new IOException("not a migration stream"));
        caller.close();
    }

    private boolean becomesMain(MigrationChannel spoke) {
        lock.lock();
        try {
            if (channel != null || status != IncomingStatus.SETUP) {
                return false;
            }
            callers.remove(spoke);
            begin(spoke, Thread.currentThread());
            return true;
        } finally {
            lock.unlock();
        }
    }

    private void begin(MigrationChannel opened, Thread reader) {
        channel = opened;
        connectedNanos = System.nanoTime();
        thread = reader;
        transition(Event.CONNECT);
    }

    private boolean has(Capability capability) {
        return request.capabilities().contains(capability);
    }

    private void run(Connection connection) {
        ReturnPathSender returnPath = new ReturnPathSender();
        IncomingGuest incoming = null;
        StreamLoader reading = null;
        try {
            if (!has(Capability.POSTCOPY_RAM)) {
                closeListener();
            }
            incoming = guest.beginIncoming();
            PackageHooks hooks = new PackageHooks(incoming, connection, returnPath);
            reading = new StreamLoader(
                    guest,
                    incoming,
                    request.capabilities(),
                    returnPath,
                    connection::reply,
                    new OpaqueSectionReader(request.deviceStateBytes(), request.deviceStateBytes(), true),
                    hooks);
            hooks.reading = reading;
            loader = reading;
            Optional<StreamLoader.Loaded> loaded = reading.load(connection.in());
            if (loaded.isPresent()) {
                commit(incoming, loaded.get());
                succeed(returnPath, reading);
                closeListener();
            }
        } catch (IOException | RuntimeException | Error e) {
            fail(e, incoming, returnPath, reading);
        } finally {
            if (reading != null) {
                reading.close();
            }
            if (reception == null) {
                hangUpOnCallers();
                connection.close();
            }
        }
    }

    private void hangUpOnCallers() {
        lock.lock();
        try {
            callers.forEach(caller -> caller.abort(new IOException("the migration has ended without postcopy")));
        } finally {
            lock.unlock();
        }
    }

    /** What the package asks for; the loading thread calls. */
    private final class PackageHooks implements StreamLoader.PostcopyHooks {
        private final IncomingGuest incoming;
        private final Connection connection;
        private final ReturnPathSender returnPath;
        private @Nullable StreamLoader reading;
        private boolean recorded;

        PackageHooks(IncomingGuest incoming, Connection connection, ReturnPathSender returnPath) {
            this.incoming = incoming;
            this.connection = connection;
            this.returnPath = returnPath;
        }

        @Override
        public void discarded() throws IOException {
            if (!recorded) {
                request.acceptance().writeForPostcopy(uri());
                recorded = true;
            }
        }

        @Override
        public void listen(StreamReader main, List<IncomingBlock> blocks) throws IOException {
            StreamLoader loading = Objects.requireNonNull(reading);
            IncomingMemory memory = incoming.listen(request.id(), blocks);
            Sections sections = new Sections(loading.sections(), loading.hasFooters(), guest.targetPageSizeBytes());
            PostcopyReception receiving =
                    new PostcopyReception(request, memory, returnPath, sections, new StatusKeeper());
            receiving.start(connection);
            lock.lock();
            try {
                reception = receiving;
                callers.forEach(receiving.connections()::adoptUrgent);
                callers.clear();
            } finally {
                lock.unlock();
            }
        }

        @Override
        public void run(List<DeviceSection> devices, IncomingState state) throws IOException {
            lock.lock();
            try {
                if (status.isTerminal()) {
                    throw new IOException("the incoming migration was cancelled");
                }
                committing = true;
            } finally {
                lock.unlock();
            }
            request.acceptance().write();
            try {
                incoming.run(devices, state);
            } catch (IOException e) {
                if (!incoming.mayRun()) {
                    throw e;
                }
                log.atError()
                        .addKeyValue("guest", guest.name())
                        .setCause(e)
                        .log("the guest may run here: its pages are served");
            }
            transition(Event.RUN);
            if (guest.runState() == RunState.RUNNING) {
                request.events().event(guest.name(), "RESUME", Map.of());
            }
            Objects.requireNonNull(reception).connections().ran(true);
        }
    }

    /** Moves the status for the listen thread. */
    private final class StatusKeeper implements PostcopyReception.Owner {
        @Override
        public void moved(Event event, @Nullable Throwable cause) {
            lock.lock();
            try {
                if (status.isTerminal()) {
                    return;
                }
                failure = cause;
                if (event == Event.FAIL) {
                    endedNanos = System.nanoTime();
                }
                transition(event);
            } finally {
                lock.unlock();
            }
        }

        @Override
        public void complete() throws IOException {
            request.acceptance().postcopyEnded(true);
            end(Event.COMPLETE, null);
            answerFromNowOn(ShutStatus.COMPLETE);
        }

        @Override
        public void delayed(IOException cause) {
            lock.lock();
            try {
                failure = cause;
            } finally {
                lock.unlock();
            }
        }

        @Override
        public void sourceKnows() {
            told();
        }
    }

    private boolean answering() {
        return answers != null;
    }

    /** Whoever connects from now on hears how it ended, for a bounded time. */
    private void answerFromNowOn(int shutStatus) {
        lock.lock();
        try {
            answers = new EndAnswers(request.id(), shutStatus, this::told);
        } finally {
            lock.unlock();
        }
        request.links().later(request.recovery().answerMillis(), this::closeListener);
    }

    private void told() {
        closeListener();
        try {
            request.acceptance().sourceKnows();
        } catch (IOException e) {
            log.atWarn().addKeyValue("guest", guest.name()).setCause(e).log("record of the migration not removed");
        }
    }

    private void commit(IncomingGuest incoming, StreamLoader.Loaded loaded) throws IOException {
        lock.lock();
        try {
            if (status.isTerminal()) {
                throw new IOException("the incoming migration was cancelled");
            }
            committing = true;
        } finally {
            lock.unlock();
        }
        request.acceptance().write();
        incoming.commit(loaded.devices(), loaded.state());
    }

    private void succeed(ReturnPathSender returnPath, StreamLoader reading) {
        if (guest.runState() == RunState.RUNNING) {
            request.events().event(guest.name(), "RESUME", Map.of());
        }
        end(Event.COMPLETE, null);
        if (reading.isReturnPathOpen()) {
            shut(returnPath, 0);
        }
    }

    private void fail(
            Throwable cause,
            @Nullable IncomingGuest incoming,
            ReturnPathSender returnPath,
            @Nullable StreamLoader reading) {
        boolean mayRunHere = incoming != null && incoming.mayRun();
        PostcopyReception receiving = reception;
        if (receiving != null) {
            receiving.stopServing();
        }
        try {
            if (incoming != null && !mayRunHere) {
                incoming.abort();
            }
        } catch (RuntimeException e) {
            cause.addSuppressed(e);
        } finally {
            conclude(cause, mayRunHere);
        }
        if (reading != null && reading.isPostcopyRecorded()) {
            neverRan(returnPath);
            if (receiving != null) {
                receiving.connections().ran(false);
                receiving.close();
            }
            return;
        }
        closeListener();
        // A source that hears SHUT(1) may believe that its copy is the only one: in doubt it must not hear it.
        if (reading != null && reading.isReturnPathOpen() && !mayRunHere) {
            shut(returnPath, 1);
        }
    }

    /** Durable before it is said: the source takes the guest back on this word. */
    private void neverRan(ReturnPathSender returnPath) {
        try {
            request.acceptance().postcopyEnded(false);
        } catch (IOException e) {
            log.atError()
                    .addKeyValue("guest", guest.name())
                    .setCause(e)
                    .log("the source is not told that it never ran");
            closeListener();
            return;
        }
        answerFromNowOn(ShutStatus.NEVER_RAN);
        shut(returnPath, ShutStatus.NEVER_RAN);
    }

    private void conclude(Throwable cause, boolean mayRunHere) {
        if (status().isTerminal()) {
            log.atInfo().addKeyValue("session", request.id()).log("incoming migration cancelled");
            return;
        }
        Throwable shown = mayRunHere
                ? new IOException(
                        "the guest was handed to its process and may run here: look at its run state before the source takes it back",
                        cause)
                : cause;
        log.atError()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .setCause(shown)
                .log(mayRunHere ? "incoming migration in doubt" : "incoming migration failed; nothing of it is kept");
        end(Event.FAIL, shown);
    }

    private void shut(ReturnPathSender returnPath, int code) {
        try {
            returnPath.sendShut(code);
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("session", request.id())
                    .addKeyValue("code", code)
                    .setCause(e)
                    .log("the source was not told how it ended");
        }
    }

    private void end(Event event, @Nullable Throwable cause) {
        lock.lock();
        try {
            failure = cause;
            endedNanos = System.nanoTime();
            transition(event);
        } finally {
            lock.unlock();
        }
    }

    private void transition(Event event) {
        IncomingStatus from;
        IncomingStatus to;
        lock.lock();
        try {
            from = status;
            to = from.next(event);
            status = to;
        } finally {
            lock.unlock();
        }
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .addKeyValue("from", from.qmpName())
                .addKeyValue("to", to.qmpName())
                .log("state changed");
        announce(to);
    }

    private void announce(IncomingStatus to) {
        request.events().event(guest.name(), "MIGRATION", Map.of("status", to.qmpName()));
    }

    private MigrationInfo.@Nullable RamCounters counters() {
        StreamLoader reading = loader;
        MigrationChannel link = channel;
        if (reading == null || link == null) {
            return null;
        }
        PostcopyReception receiving = reception;
        long zero = receiving == null ? 0 : receiving.zeroPages();
        long normal = receiving == null ? 0 : receiving.normalPages();
        long remaining = receiving == null ? 0 : receiving.missingBytes();
        return reading.ram()
                .map(ram -> new MigrationInfo.RamCounters(
                        link.bytesReceived(),
                        remaining,
                        ram.totalBytes(),
                        ram.zeroPages() + zero,
                        ram.normalPages() + normal,
                        (ram.normalPages() + normal) * guest.targetPageSizeBytes(),
                        0,
                        0,
                        0,
                        0,
                        guest.targetPageSizeBytes(),
                        0,
                        0,
                        0))
                .orElse(null);
    }
}
