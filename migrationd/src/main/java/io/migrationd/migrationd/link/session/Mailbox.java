package io.migrationd.migrationd.link.session;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The thread of a session, {@code peer-msg-N}, on which the daemon hears of it: what was posted first, then messages in
 * order, at the very end that it is lost. Messages are bounded by the session's protocol, posted actions by who posts:
 * one for each thing that may have changed.
 */
final class Mailbox {
    private static final Logger log = LoggerFactory.getLogger(Mailbox.class);
    private static final Duration JOIN = Duration.ofSeconds(5);

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Runnable taken;
    private final Thread thread;

    // All guarded by lock.
    private final ArrayDeque<Runnable> posted = new ArrayDeque<>();
    private final ArrayDeque<byte[]> messages = new ArrayDeque<>();
    private @Nullable Consumer<byte[]> reader;
    private @Nullable Consumer<String> mourner;
    private @Nullable String lostReason;
    private boolean mourned;

    /**
     * Starts the thread.
     *
     * @param taken runs after each message that was taken
     */
    Mailbox(String name, Runnable taken) {
        this.taken = taken;
        this.thread = Thread.ofPlatform().name(name).daemon().start(this::run);
    }

    void post(Runnable action) {
        change(() -> posted.add(action));
    }

    void deliver(byte[] message) {
        change(() -> messages.add(message));
    }

    void onMessage(Consumer<byte[]> told) {
        change(() -> reader = told);
    }

    void onLost(Consumer<String> told) {
        boolean late;
        lock.lock();
        try {
            mourner = told;
            late = mourned;
        } finally {
            lock.unlock();
        }
        if (late && lostReason != null) {
            told.accept(lostReason);
        }
    }

    /** The thread tells it and ends. */
    void lost(String reason) {
        change(() -> lostReason = reason);
    }

    private void change(Runnable change) {
        lock.lock();
        try {
            change.run();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** Waits for the thread's end, unless it is this one. */
    void join() {
        if (Thread.currentThread() == thread) {
            return;
        }
        try {
            if (!thread.join(JOIN)) {
                log.atError()
                        .addKeyValue("thread", thread.getName())
                        .addKeyValue("stack", java.util.Arrays.toString(thread.getStackTrace()))
                        .log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    private void run() {
        Runnable next = next();
        while (next != null) {
            try {
                next.run();
            } catch (RuntimeException e) {
                log.atError().setCause(e).log("a listener of the session failed");
            }
            next = next();
        }
    }

    private @Nullable Runnable next() {
        lock.lock();
        try {
            while (true) {
                Runnable action = posted.poll();
                if (action != null) {
                    return action;
                }
                Consumer<byte[]> to = reader;
                if (to != null && !messages.isEmpty()) {
                    byte[] message = messages.remove();
                    return () -> give(to, message);
                }
                if (mourned) {
                    return null;
                }
                if (lostReason != null) {
                    mourned = true;
                    String reason = lostReason;
                    Consumer<String> told = mourner;
                    return () -> {
                        if (told != null) {
                            told.accept(reason);
                        }
                    };
                }
                changed.awaitUninterruptibly();
            }
        } finally {
            lock.unlock();
        }
    }

    private void give(Consumer<byte[]> to, byte[] message) {
        try {
            to.accept(message);
        } finally {
            taken.run();
        }
    }
}
