package io.migrationd.migrationd.cli;

import java.io.IOException;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Optional;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;

/** What the reader thread hands to the caller's thread: replies and events in order, then why there will be no more. */
final class QmpInbox {
    /** A whole migration makes a few dozen events; a watcher that stands still loses the oldest. */
    static final int MAX_EVENTS = 10_000;

    /** One command is under way at a time, so that more replies than these are nobody's. */
    static final int MAX_REPLIES = 1000;

    /** A message that is no event, as text and read. */
    record Reply(String text, JsonObject value) {}

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    private final Deque<Reply> replies = new ArrayDeque<>(); // guarded by lock
    private final Deque<QmpEvent> events = new ArrayDeque<>(); // guarded by lock
    private @Nullable IOException failure; // guarded by lock

    void deliver(String text, JsonObject message) throws IOException {
        lock.lock();
        try {
            if (message.text("event").isPresent()) {
                if (events.size() == MAX_EVENTS) {
                    events.removeFirst();
                }
                events.addLast(new QmpEvent(message));
            } else if (replies.size() == MAX_REPLIES) {
                throw new IOException("the daemon sent %d replies that nobody asked for".formatted(MAX_REPLIES));
            } else {
                replies.addLast(new Reply(text, message));
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The first failure stands. What was delivered before it can still be taken. */
    void fail(IOException cause) {
        lock.lock();
        try {
            if (failure == null) {
                failure = cause;
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    Optional<Reply> awaitReply(long deadlineNanos) throws IOException {
        return await(replies, deadlineNanos);
    }

    Optional<QmpEvent> awaitEvent(long deadlineNanos) throws IOException {
        return await(events, deadlineNanos);
    }

    private <T> Optional<T> await(Deque<T> queue, long deadlineNanos) throws IOException {
        lock.lock();
        try {
            while (queue.isEmpty()) {
                if (failure != null) {
                    throw failure;
                }
                long leftNanos = deadlineNanos - System.nanoTime();
                if (leftNanos <= 0) {
                    return Optional.empty();
                }
                long _ = changed.awaitNanos(leftNanos);
            }
            return Optional.of(queue.removeFirst());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while waiting for the daemon", e);
        } finally {
            lock.unlock();
        }
    }
}
