package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.DeviceFormat;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.process.RunTransitions.Event;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.PresentPages;
import io.migrationd.postcopy.UffdIncomingMemory;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.HostFeature;
import io.migrationd.postcopy.memory.HostFeatures;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.memory.UffdDirtyLog;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A guest whose VMM is a process of its own that handed its memory over (docs/guest-protocol.md). It outlives its
 * connection: while there is none it counts as {@link RunState#SHUTDOWN}, and when the same process comes back it goes
 * on with the memory that we hold. Calls may come from any thread; those that ask the VMM take turns.
 */
public final class ProcessGuest implements Guest, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ProcessGuest.class);

    private static final Set<HostFeature> WRITE_TRACKING = Set.of(
            HostFeature.WP_HUGETLBFS_SHMEM, HostFeature.WP_UNPOPULATED, HostFeature.WP_ASYNC, HostFeature.PAGEMAP_SCAN);

    /** How long a VMM may take to come back when its guest is about to run. */
    private static final Duration REATTACH_DEADLINE = Duration.ofSeconds(10);

    private static final Duration PROCESS_CHECK = Duration.ofMillis(200);

    private final GuestHello hello;
    private final long pid;
    private final GuestMemory memory;
    private final DeviceLayouts devices;
    /** Held while the VMM is asked, so that what it answers and {@code state} stay together. */
    private final ReentrantLock turn = new ReentrantLock();
    /** A session has come. */
    private final Condition attached = turn.newCondition();

    /** Written under {@code turn}. */
    private volatile RunState state;
    /** Set under {@code turn}, cleared by the session's own thread. */
    private final AtomicReference<@Nullable GuestSession> session = new AtomicReference<>();
    /** Under {@code turn}: the VMM has not heard yet that its guest goes on. */
    private volatile boolean owedResume;
    /** Under {@code turn}. */
    private boolean closed;
    /** Under {@code turn}: where the guest has device state that it has not run yet. */
    private @Nullable GuestSession loadedIn;

    private volatile Optional<Map<String, Object>> checkReport = Optional.empty();

    ProcessGuest(GuestHello hello, long pid, GuestMemory memory, DeviceLayouts devices) {
        this.hello = hello;
        this.pid = pid;
        this.memory = memory;
        this.devices = devices;
        this.state = hello.mode().runState();
    }

    @Override
    public String name() {
        return hello.name();
    }

    @Override
    public GuestKind kind() {
        return GuestKind.PROCESS;
    }

    @Override
    public Optional<UUID> uuid() {
        return hello.uuid();
    }

    @Override
    public Optional<String> machineType() {
        return Optional.of(hello.machineType());
    }

    @Override
    public int targetPageSizeBytes() {
        return hello.targetPageSizeBytes();
    }

    @Override
    public List<RamBlock> ram() {
        return memory.blocks();
    }

    @Override
    public RunState runState() {
        return isAttached() ? state : RunState.SHUTDOWN;
    }

    @Override
    public RunState stateToAnnounce() {
        return state == RunState.FINISH_MIGRATE ? RunState.RUNNING : state;
    }

    /** The process that runs it, by the credential of its socket. */
    public long pid() {
        return pid;
    }

    /** Its device sections, in the order in which they are sent. */
    public List<DeviceFormat> devices() {
        return devices.formats();
    }

    /** What the guest last said of its own consistency. */
    public Optional<Map<String, Object>> checkReport() {
        return checkReport;
    }

    @Override
    public DirtyLog openDirtyLog() throws ErrnoException, GuestException {
        requireSession();
        List<String> missing = HostFeatures.probe().missing(WRITE_TRACKING);
        if (!missing.isEmpty()) {
            throw new GuestException(
                    "guest %s cannot be migrated while it runs. %s".formatted(name(), String.join(" ", missing)));
        }
        return UffdDirtyLog.open(pid, memory.ranges(), targetPageSizeBytes());
    }

    /** Stops the guest for an operator. Does nothing to a guest that does not run. */
    public void pause() throws GuestException {
        inTurn(() -> {
            if (state == RunState.FINISH_MIGRATE) {
                throw new GuestException("guest %s was stopped by its migration: cancel that first".formatted(name()));
            }
            if (state == RunState.RUNNING) {
                ask(GuestVerb.STOP);
                enter(Event.PAUSED);
            }
        });
    }

    /** Lets a paused guest run again. Refused, with the reason, where it must not run here. */
    public void continueRunning() throws GuestException {
        inTurn(() -> {
            switch (state) {
                case RUNNING -> {}
                case PAUSED -> {
                    ask(GuestVerb.RESUME);
                    enter(Event.CONTINUED);
                }
                case INMIGRATE -> throw mayNotRun("it waits for an incoming migration");
                case FINISH_MIGRATE -> throw mayNotRun("its migration has stopped it for the last pass");
                case POSTMIGRATE -> throw mayNotRun("it has migrated away");
                case SHUTDOWN -> throw mayNotRun("its process is gone");
            }
        });
    }

    private GuestException mayNotRun(String why) {
        return new GuestException("guest %s must not run here: %s".formatted(name(), why));
    }

    @Override
    public void stopForSwitchover() throws GuestException {
        inTurn(() -> {
            if (state == RunState.RUNNING) {
                // Before we ask: if the answer is lost, the guest may be stopped, and is owed a resume.
                enter(Event.STOPPED_FOR_SWITCHOVER);
                ask(GuestVerb.STOP);
            }
        });
    }

    @Override
    public void resumeAfterFailure() {
        turn.lock();
        try {
            if (state != RunState.FINISH_MIGRATE) {
                return;
            }
            enter(Event.MIGRATION_FAILED);
            ask(GuestVerb.RESUME);
        } catch (GuestException e) {
            owedResume = true;
            log.atWarn().addKeyValue("guest", name()).setCause(e).log("guest resumes when its process comes back");
        } finally {
            turn.unlock();
        }
    }

    @Override
    public void releaseAfterMigration() {
        turn.lock();
        try {
            enter(Event.RELEASED);
            ask(GuestVerb.RELEASE);
        } catch (GuestException e) {
            log.atWarn().addKeyValue("guest", name()).setCause(e).log("guest is released when its process comes back");
        } finally {
            turn.unlock();
        }
    }

    @Override
    public List<DeviceSection> saveDevices() throws GuestException {
        turn.lock();
        try {
            if (state != RunState.FINISH_MIGRATE && state != RunState.PAUSED) {
                throw new GuestException("guest %s has run state %s: only a stopped one can be saved"
                        .formatted(name(), runState().qmpName()));
            }
            return devices.check(name(), ask(GuestVerb.SAVE).sections());
        } finally {
            turn.unlock();
        }
    }

    /**
     * After a restart of the daemon, of a guest whose outgoing postcopy is under way: it waits for the end of that. A
     * guest that says that it runs is stopped.
     */
    public void stoppedByMigration() {
        turn.lock();
        try {
            boolean runs = state == RunState.RUNNING;
            enter(Event.FOUND_MIGRATING);
            GuestSession current = session.get();
            if (runs && current != null) {
                owe(current, GuestVerb.STOP);
            }
        } finally {
            turn.unlock();
        }
    }

    @Override
    public IncomingMemory reopenIncoming(String session) throws IOException {
        turn.lock();
        try {
            requireSession();
            if (state != RunState.RUNNING && state != RunState.PAUSED) {
                throw new GuestException(
                        "guest %s has run state %s: its postcopy cannot go on here".formatted(name(), state.qmpName()));
            }
            List<IncomingBlock> blocks = new ArrayList<>();
            for (RamBlock block : ram()) {
                IncomingBlock incoming = new IncomingBlock(block, targetPageSizeBytes());
                PresentPages.mark(incoming);
                blocks.add(incoming);
            }
            return openIncomingMemory(session, blocks);
        } finally {
            turn.unlock();
        }
    }

    IncomingMemory openIncomingMemory(String session, List<IncomingBlock> blocks) throws IOException {
        return UffdIncomingMemory.of(session, blocks, memory.ranges(), memory.userfaultfd());
    }

    @Override
    public void completeIncoming() {
        log.atInfo().addKeyValue("guest", name()).log("all memory of the guest is here");
    }

    /** What stands in the way of a postcopy migration to this guest; empty if nothing does. */
    Optional<String> postcopyRefusal() throws IOException {
        if (!hello.postcopy()) {
            return Optional.of("its VMM does not say \"postcopy\": true in its hello, so it may not be able to wait for"
                    + " memory that has not arrived");
        }
        if (!memory.hasNonBlockingUserfaultfd()) {
            return Optional.of("its userfaultfd was opened without O_NONBLOCK");
        }
        return Optional.empty();
    }

    @Override
    public IncomingGuest beginIncoming() throws GuestException {
        turn.lock();
        try {
            requireSession();
            if (state != RunState.INMIGRATE) {
                throw new GuestException("guest %s has run state %s: it does not wait for a migration"
                        .formatted(name(), state.qmpName()));
            }
            // Whoever sent to it before, and however that ended: a page that is zero now must not find old content,
            // and one that is a hole when it runs must not wait for a postcopy that nobody serves.
            empty();
            return new ProcessIncomingGuest(this);
        } catch (ErrnoException e) {
            throw new GuestException("memory of guest %s was not made ready".formatted(name()), e);
        } finally {
            turn.unlock();
        }
    }

    /** Hands over device state. The guest still waits. */
    void load(List<DeviceSection> sections) throws GuestException {
        inTurn(() -> loadIn(requireSession(), sections));
    }

    private void loadIn(GuestSession current, List<DeviceSection> sections) throws GuestException {
        current.request(GuestVerb.LOAD, false, sections);
        loadedIn = current;
    }

    /** Whether it has device state that came over the connection of now. */
    boolean hasLoaded() {
        turn.lock();
        try {
            return isLoadedIn(session.get());
        } finally {
            turn.unlock();
        }
    }

    @SuppressWarnings("ReferenceEquality") // What was loaded is forgotten with the connection.
    private boolean isLoadedIn(@Nullable GuestSession current) {
        return loadedIn != null && loadedIn == current;
    }

    /**
     * What is loaded becomes the guest. There is no way back for whoever sent it: if the connection breaks in the
     * middle, waits a while for the VMM to come back, and does what it has not heard.
     */
    void run(List<DeviceSection> sections, boolean start) throws GuestException {
        long deadlineNanos = System.nanoTime() + REATTACH_DEADLINE.toNanos();
        inTurn(() -> {
            do {
                GuestSession current = awaitSession(deadlineNanos);
                if (state != RunState.INMIGRATE) {
                    return; // The request was heard, its reply was not: the new hello says so.
                }
                try {
                    if (!isLoadedIn(current)) {
                        loadIn(current, sections);
                    }
                    current.request(GuestVerb.RUN, start, List.of());
                    enter(start ? Event.STARTED : Event.LOADED);
                } catch (GuestException e) {
                    if (current.endReason().isEmpty()) {
                        throw e;
                    }
                    log.atWarn()
                            .addKeyValue("guest", name())
                            .setCause(e)
                            .log("guest was lost before it was known to run");
                }
            } while (state == RunState.INMIGRATE);
        });
    }

    /** The connection, or one that comes before the deadline. */
    private GuestSession awaitSession(long deadlineNanos) throws GuestException {
        try {
            while (!hasLiveSession() && !closed && deadlineNanos - System.nanoTime() > 0 && processIsThere()) {
                var _ = attached.awaitNanos(PROCESS_CHECK.toNanos());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        GuestSession current = requireSession();
        Optional<String> end = current.endReason();
        if (end.isPresent()) {
            throw new GuestException("guest %s: %s".formatted(name(), end.get()));
        }
        return current;
    }

    private boolean hasLiveSession() {
        GuestSession current = session.get();
        return current != null && current.endReason().isEmpty();
    }

    private boolean processIsThere() {
        return ProcessHandle.of(pid).isPresent();
    }

    /** For an incoming migration that has failed: as if it had not been. */
    void empty() throws ErrnoException {
        for (RamBlock block : ram()) {
            block.punchHole(0, block.lengthBytes());
        }
        memory.forgetMissing();
    }

    /** The guest forgets what was loaded and waits again. Nothing to do if its process is gone: that forgets too. */
    void discard() {
        try {
            inTurn(() -> {
                loadedIn = null;
                ask(GuestVerb.DISCARD);
            });
        } catch (GuestException e) {
            log.atWarn().addKeyValue("guest", name()).setCause(e).log("guest did not discard what was loaded");
        }
    }

    /** What the VMM has handed over, still ours. */
    List<Integer> descriptors() {
        return memory.descriptors();
    }

    DeviceLayouts layouts() {
        return devices;
    }

    /**
     * A connection of the same process. What it says of itself counts, unless we owe it a request: then that is sent.
     *
     * @return why it cannot be taken; empty if it was
     */
    Optional<String> attach(GuestSession fresh, GuestMode mode) {
        GuestSession old = session.get();
        if (old != null) {
            old.end("its process has connected again");
        }
        turn.lock();
        try {
            if (closed) {
                return Optional.of("guest %s was just forgotten".formatted(name()));
            }
            if (mode == GuestMode.INCOMING && state != RunState.INMIGRATE) {
                return Optional.of("guest %s has run state %s here and cannot wait for a migration"
                        .formatted(name(), state.qmpName()));
            }
            reconcile(fresh, mode);
            if (mode != GuestMode.PAUSED) {
                owedResume = false;
            }
            session.set(fresh);
            attached.signalAll();
            return Optional.empty();
        } finally {
            turn.unlock();
        }
    }

    private void reconcile(GuestSession fresh, GuestMode mode) {
        if (state == RunState.POSTMIGRATE) {
            if (mode != GuestMode.RELEASED) {
                owe(fresh, GuestVerb.RELEASE);
            }
        } else if (state == RunState.FINISH_MIGRATE && mode == GuestMode.RUNNING) {
            owe(fresh, GuestVerb.STOP);
        } else if (state == RunState.FINISH_MIGRATE && mode == GuestMode.PAUSED) {
            log.atDebug().addKeyValue("guest", name()).log("guest came back during its migration");
        } else if (owedResume && mode == GuestMode.PAUSED) {
            owe(fresh, GuestVerb.RESUME);
        } else {
            state = mode.runState();
        }
    }

    /** Not waited for: we are on the thread that will read the reply. */
    private void owe(GuestSession fresh, GuestVerb verb) {
        log.atInfo()
                .addKeyValue("guest", name())
                .addKeyValue("verb", verb.jsonName())
                .log("asking what was owed");
        var _ = fresh.send(verb, false, List.of()).whenComplete((answer, failure) -> {
            if (failure == null && verb == GuestVerb.RESUME) {
                owedResume = false;
            }
            if (failure == null && answer.reply().error().isPresent()) {
                fresh.end("it refused to " + verb.jsonName() + ": "
                        + answer.reply().error().get());
            }
        });
    }

    /** The connection has ended. Says whether it was the current one. */
    boolean detach(GuestSession ended) {
        return session.compareAndSet(ended, null);
    }

    /** Whether a hello is of this guest: same process, same memory. */
    boolean isSameAs(GuestHello other, long otherPid, GuestMemory otherMemory) {
        return pid == otherPid && hello.uuid().equals(other.uuid()) && memory.isSameAs(otherMemory);
    }

    /** Whether there is a connection. */
    public boolean isAttached() {
        return session.get() != null;
    }

    void reported(Map<String, Object> report) {
        checkReport = Optional.of(report);
    }

    /** Gives the memory up. Nobody may use the blocks any more. */
    @Override
    public void close() {
        GuestSession current = session.get();
        if (current != null) {
            current.end("the daemon gives the guest up");
        }
        turn.lock();
        try {
            closed = true;
            attached.signalAll();
            memory.close();
        } finally {
            turn.unlock();
        }
    }

    private GuestSession.Answer ask(GuestVerb verb) throws GuestException {
        return requireSession().request(verb, false, List.of());
    }

    private GuestSession requireSession() throws GuestException {
        GuestSession current = session.get();
        if (current == null) {
            throw new GuestException("guest %s: its process is gone".formatted(name()));
        }
        return current;
    }

    private void enter(Event event) {
        RunState from = state;
        state = RunTransitions.next(from, event)
                .orElseThrow(() -> new IllegalStateException(
                        "guest %s: %s is illegal in run state %s".formatted(name(), event, from.qmpName())));
        log.atInfo()
                .addKeyValue("guest", name())
                .addKeyValue("from", from.qmpName())
                .addKeyValue("to", state.qmpName())
                .log("run state changed");
    }

    private void inTurn(Step step) throws GuestException {
        turn.lock();
        try {
            step.run();
        } finally {
            turn.unlock();
        }
    }

    @FunctionalInterface
    private interface Step {
        void run() throws GuestException;
    }
}
