package io.migrationd.migrationd.qmp;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * What is under way on one connection: at most one command in band, a few out of band, then why there will be no more.
 *
 * <p>A command in band that was given up keeps its place until its answer comes. So nothing is ever queued behind a
 * main loop that is blocked, where it would be executed at a time that nobody expects.
 */
final class QmpCalls {
    /** The commands that may be sent out of band are four, and nobody repeats one that is not answered. */
    static final int MAX_OUT_OF_BAND = 8;

    /** More answers than these that belong to no command are a peer's fault. */
    static final int MAX_UNCLAIMED = 1000;

    /** Numbers are JSON's: exact below 2 to the 53rd. */
    private static final long FIRST_LATER_ID = 1L << 40;

    private static final long LAST_LATER_ID = 1L << 52;

    /** A message that is no event, as text and read. */
    record Reply(String text, JsonObject value) {}

    /** One command from its sending to its answer. */
    static final class Call {
        private final long id;
        private final String command;
        private final boolean inBand;
        private final long sinceNanos = System.nanoTime();
        private @Nullable Reply reply;
        private boolean givenUp;

        private Call(long id, String command, boolean inBand) {
            this.id = id;
            this.command = command;
            this.inBand = inBand;
        }

        long id() {
            return id;
        }

        private String facts() {
            long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - sinceNanos);
            return "%s, sent %d ms ago".formatted(command, millis);
        }
    }

    private final String peer;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();

    // All below: guarded by lock.
    private final Map<Long, Call> open = new HashMap<>();
    private final Deque<Reply> unclaimed = new ArrayDeque<>();
    private @Nullable Call inBand;
    private @Nullable JsonObject greeting;
    private @Nullable QmpClosedException failure;
    private long lastId;

    QmpCalls(String peer) {
        this.peer = peer;
    }

    /** Of a connection that was another process's: its greeting is past, and that process had numbers of its own. */
    static QmpCalls goingOn(String peer) {
        QmpCalls calls = new QmpCalls(peer);
        calls.greeting = JsonObject.EMPTY;
        calls.lastId = ThreadLocalRandom.current().nextLong(FIRST_LATER_ID, LAST_LATER_ID);
        return calls;
    }

    // ---- the reader's side ----

    /** A message that is no event. */
    void deliver(String text, JsonObject message) throws QmpClosedException {
        lock.lock();
        try {
            if (greeting == null) {
                greeting = message.object("QMP")
                        .orElseThrow(() -> new QmpClosedException(
                                peer, "connected, but what answers does not speak QMP: it sent no greeting"));
            } else {
                answer(new Reply(text, message));
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** QMP leaves the id out where it could not read the command. Wire source: QEMU 10.0 monitor/qmp.c. */
    private void answer(Reply reply) throws QmpClosedException {
        boolean named = reply.value().members().containsKey("id");
        Call call = named ? open.remove(reply.value().number("id").orElse(-1)) : inBand;
        if (call == null) {
            if (unclaimed.size() == MAX_UNCLAIMED) {
                throw new QmpClosedException(peer, "%d answers came that nobody asked for".formatted(MAX_UNCLAIMED));
            }
            unclaimed.addLast(reply);
            return;
        }
        open.remove(call.id);
        call.reply = reply;
        if (call == inBand) {
            inBand = null;
        }
    }

    /** The first failure stands. */
    void fail(QmpClosedException cause) {
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

    // ---- the callers' side ----

    JsonObject awaitGreeting(long deadlineNanos, String timeout) throws QmpConnectionException {
        return await(deadlineNanos, () -> greeting, () -> noAnswer("the connection", timeout));
    }

    /** Takes the place of the next command. In band it waits until the one before is answered. */
    Call begin(String command, boolean outOfBand, long deadlineNanos) throws QmpConnectionException {
        return await(deadlineNanos, () -> failure == null ? place(command, outOfBand) : null, () -> noPlace(command));
    }

    private @Nullable Call place(String command, boolean outOfBand) {
        if (outOfBand ? open.size() > MAX_OUT_OF_BAND : inBand != null) {
            return null;
        }
        Call call = new Call(++lastId, command, !outOfBand);
        open.put(call.id, call);
        if (call.inBand) {
            inBand = call;
        }
        return call;
    }

    /** The place of a command that was not sent after all. */
    void forget(Call call) {
        lock.lock();
        try {
            open.remove(call.id);
            if (call == inBand) {
                inBand = null;
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** The answer to a command that was sent. */
    Reply await(Call call, long deadlineNanos, String timeout) throws QmpConnectionException {
        return await(deadlineNanos, () -> call.reply, () -> {
            call.givenUp = true;
            return noAnswer(call.command, timeout);
        });
    }

    /** Whether the command in band was given up and is not answered. */
    boolean hangs() {
        lock.lock();
        try {
            return inBand != null && inBand.givenUp;
        } finally {
            lock.unlock();
        }
    }

    /** An answer that belongs to no command of ours. */
    Reply awaitUnclaimed(long deadlineNanos, String to, String timeout) throws QmpConnectionException {
        return await(deadlineNanos, unclaimed::pollFirst, () -> noAnswer(to, timeout));
    }

    /** Commands that are not answered yet, for messages and tests. */
    List<String> open() {
        lock.lock();
        try {
            List<String> facts = new ArrayList<>();
            open.values().forEach(call -> facts.add(call.facts()));
            return facts;
        } finally {
            lock.unlock();
        }
    }

    private QmpTimeoutException noAnswer(String to, String timeout) {
        String what =
                "no answer to %s within %s: another client may hold the socket, or it hangs".formatted(to, timeout);
        return new QmpTimeoutException(peer, what, true);
    }

    private QmpTimeoutException noPlace(String command) {
        String what = "%s was not sent: no answer yet to %s".formatted(command, String.join("; ", open()));
        return new QmpTimeoutException(peer, what, false);
    }

    /** What is there is given out also after a failure. */
    private <T> T await(long deadlineNanos, Supplier<@Nullable T> look, Supplier<QmpTimeoutException> late)
            throws QmpConnectionException {
        lock.lock();
        try {
            T found = look.get();
            while (found == null) {
                if (failure != null) {
                    throw new QmpClosedException(peer, failure.what(), failure);
                }
                long leftNanos = deadlineNanos - System.nanoTime();
                if (leftNanos <= 0) {
                    throw late.get();
                }
                long _ = changed.awaitNanos(leftNanos);
                found = look.get();
            }
            return found;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            QmpTimeoutException interrupted = new QmpTimeoutException(peer, "interrupted while waiting for it", true);
            interrupted.initCause(e);
            throw interrupted;
        } finally {
            lock.unlock();
        }
    }
}
