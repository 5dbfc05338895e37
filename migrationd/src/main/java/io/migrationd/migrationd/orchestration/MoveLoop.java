package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.move.MoveAction;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.QemuCommand;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.Step;
import io.migrationd.migrationd.move.Timer;
import io.migrationd.protocol.stream.IllegalTransitionException;
import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.EnumMap;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One thread that owns one end of one move: it hands events to the machine, one after the other, and does what the
 * machine says before it looks at the next one. Between events it asks QEMU how it stands.
 *
 * @param <S> the machine's state
 */
abstract class MoveLoop<S> implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(MoveLoop.class);

    /** Messages are few; one that finds no room means that the loop hangs. */
    private static final int MOST_WAITING = 4096;

    private static final long STOP_MILLIS = 15_000;

    private final UUID id;
    private final Thread thread;
    private final BlockingQueue<Runnable> inbox = new ArrayBlockingQueue<>(MOST_WAITING);
    // The loop's thread only.
    private final Deque<MoveEvent> found = new ArrayDeque<>();
    private final Map<Timer, Long> timers = new EnumMap<>(Timer.class);
    private boolean over;
    private boolean broken;
    // Guarded by inbox.
    private boolean drained;
    private volatile S state;
    private volatile boolean closing;

    MoveLoop(String threadName, UUID id, S initial) {
        this.id = id;
        this.state = initial;
        this.thread = Thread.ofPlatform().name(threadName).unstarted(this::run);
    }

    final UUID id() {
        return id;
    }

    final S state() {
        return state;
    }

    final void start(MoveEvent first) {
        inbox.add(() -> handle(first));
        thread.start();
    }

    /** Begins without an event: the first one is on its way. */
    final void startListening() {
        thread.start();
    }

    /** Hands an event over; any thread. Dropped when the move is over. */
    final void offer(MoveEvent event) {
        boolean _ = offerTask(() -> handle(event));
    }

    /** Has the loop do something on its own thread; false if it has ended and never will. */
    final boolean offerTask(Runnable task) {
        synchronized (inbox) {
            if (drained || closing) {
                return false;
            }
            if (!inbox.offer(task)) {
                log.atError().addKeyValue("move", id).log("the move's loop hangs: an event is dropped");
            }
            return true;
        }
    }

    /** An event that an action has brought about; the loop's thread only. */
    final void found(MoveEvent event) {
        found.add(event);
    }

    final boolean isOver() {
        return over;
    }

    private void run() {
        try {
            while (!closing && !over) {
                @Nullable Runnable task = inbox.poll(Math.min(untilTimer(), untilLook()), TimeUnit.MILLISECONDS);
                if (task != null) {
                    task.run();
                }
                fireTimers();
                // A fact is never older than what was done last: whatever waits comes before the next look.
                drainFound();
                if (!over && !closing) {
                    look();
                    drainFound();
                }
            }
            drainLate();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (RuntimeException | Error e) {
            broken = true;
            log.atError().addKeyValue("move", id).setCause(e).log("a move has broken: its journal stays as it is");
        } finally {
            ended(broken);
        }
    }

    private void handle(MoveEvent event) {
        found.add(event);
        drainFound();
    }

    /** What came while the move ended still wants an answer: the peer says it once only. */
    private void drainLate() {
        if (!over || closing) {
            return;
        }
        synchronized (inbox) {
            drained = true;
        }
        for (Runnable task = inbox.poll(); task != null; task = inbox.poll()) {
            task.run();
        }
        for (MoveEvent next = found.poll(); next != null; next = found.poll()) {
            late(next);
        }
    }

    private void drainFound() {
        while (!over && !closing) {
            MoveEvent next = found.poll();
            if (next == null) {
                return;
            }
            try {
                apply(next, step(state, next));
            } catch (IllegalTransitionException e) {
                if (next instanceof MoveEvent.FromPeer) {
                    log.atError()
                            .addKeyValue("move", id)
                            .setCause(e)
                            .log("the peer said what it may not say now; ignored");
                    note("the peer broke the protocol: " + e.getMessage());
                } else {
                    throw e;
                }
            }
        }
    }

    private void apply(MoveEvent event, Step<S> step) {
        S before = state;
        state = step.next();
        stepped(before, event, step.next());
        for (MoveAction action : step.actions()) {
            if (closing) {
                return;
            }
            switch (action) {
                case MoveAction.Write write -> {
                    try {
                        write(step.next(), write);
                    } catch (IOException e) {
                        // Nothing after it may happen: a release that is not on disk was not given.
                        throw new IllegalStateException("the journal of move %s can't be written".formatted(id), e);
                    }
                }
                case MoveAction.Arm(Timer timer) -> arm(timer);
                case MoveAction.Note(String text) -> note(text);
                case MoveAction.Finish(Outcome outcome) -> {
                    over = true;
                    finish(outcome);
                }
                case MoveAction.Command(QemuCommand command) -> command(command);
                default -> perform(action);
            }
        }
        announced(before, event, step.next());
    }

    private void arm(Timer timer) {
        timers.put(timer, System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(timerMillis(timer)));
    }

    private long untilTimer() {
        long least = Long.MAX_VALUE;
        long now = System.nanoTime();
        for (long due : timers.values()) {
            least = Math.min(least, Math.max(0, TimeUnit.NANOSECONDS.toMillis(due - now) + 1));
        }
        return least;
    }

    private void fireTimers() {
        long now = System.nanoTime();
        for (Timer timer : Timer.values()) {
            Long due = timers.get(timer);
            if (due == null || due - now > 0) {
                continue;
            }
            if (isEarly(timer)) {
                arm(timer);
            } else {
                timers.remove(timer);
                handle(new MoveEvent.TimerFired(timer));
            }
        }
    }

    abstract Step<S> step(S before, MoveEvent event);

    abstract void write(S next, MoveAction.Write write) throws IOException;

    abstract void command(QemuCommand command);

    /** Everything else. */
    abstract void perform(MoveAction action);

    /** The state has changed, its actions come next. */
    abstract void stepped(S before, MoveEvent event, S next);

    /** The actions are done: what only tells others, which the guest need not wait for while it stands still. */
    abstract void announced(S before, MoveEvent event, S next);

    abstract void note(String text);

    abstract void finish(Outcome outcome);

    /** Milliseconds until QEMU should be asked again. */
    abstract long untilLook();

    /** Asks QEMU if it is time to, and reports with {@link #found}. */
    abstract void look();

    abstract long timerMillis(Timer timer);

    /** Whether a timer that has run down must not be told yet, and runs once more. */
    boolean isEarly(Timer timer) {
        return false;
    }

    /** An event that came when the move was over; the state does not change any more. */
    void late(MoveEvent event) {
        // Whoever has nobody to answer to lets it be.
    }

    /** Last thing that the thread does. */
    abstract void ended(boolean brokenOff);

    /** A fact for the machine, unless it has just that. */
    static boolean isNews(QemuFact known, QemuFact seen) {
        return !known.equals(seen);
    }

    /** Ends the loop where it stands; the journal has all that the next daemon needs. */
    @Override
    public void close() {
        closing = true;
        boolean _ = inbox.offer(() -> {});
        if (Thread.currentThread() == thread) {
            return;
        }
        try {
            thread.join(STOP_MILLIS);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (thread.isAlive()) {
            log.atError()
                    .addKeyValue("move", id)
                    .addKeyValue("stack", java.util.Arrays.toString(thread.getStackTrace()))
                    .log("the move's thread does not stop");
        }
    }
}
