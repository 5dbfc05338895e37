package io.migrationd.migrationd.link;

import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.function.LongSupplier;

/**
 * Judges whether the peer of a connection still lives, from what is due and what moves: a question whose bytes the
 * socket has taken wants an answer, and bytes that wait for the socket want to leave. A peer from which nothing comes
 * for the limit, while one of both is due, counts as dead. Any thread.
 */
public final class PeerWatch {
    private final MigrationChannel channel;
    private final long limitNanos;
    private final LongSupplier nanoTime;

    // All guarded by this.
    private boolean awaiting;
    private long questionEnd;
    /** Whether the socket has taken the question, and when that was first seen. */
    private boolean taken;

    private long takenNanos;
    private long lastSent;
    private long lastProgressNanos;

    /** Watches {@code channel} from now on. */
    public PeerWatch(MigrationChannel channel, long limitMillis, LongSupplier nanoTime) {
        this.channel = channel;
        this.limitNanos = TimeUnit.MILLISECONDS.toNanos(limitMillis);
        this.nanoTime = nanoTime;
        this.lastProgressNanos = nanoTime.getAsLong();
    }

    /** The peer owes us an answer to what ends at byte {@code position} of this connection. */
    public synchronized void asked(long position) {
        awaiting = true;
        taken = false;
        questionEnd = position;
    }

    /** The answer came. */
    public synchronized void answered() {
        awaiting = false;
    }

    /** Whether an answer is still due. */
    public synchronized boolean isAwaiting() {
        return awaiting;
    }

    /** Why the peer counts as dead, if it does. Does not block: made for {@link Links#watch}. */
    public synchronized Optional<String> verdict() {
        long now = nanoTime.getAsLong();
        boolean stuck = isStuck(now);
        boolean unanswered = isUnanswered(now);
        long silentNanos = now - channel.lastReceivedNanos();
        if (silentNanos < limitNanos || !(stuck || unanswered)) {
            return Optional.empty();
        }
        long millis = TimeUnit.NANOSECONDS.toMillis(silentNanos);
        return Optional.of(
                stuck
                        ? "the peer %s takes no data and has sent nothing for %d ms".formatted(channel.peer(), millis)
                        : "the peer %s does not answer and has sent nothing for %d ms"
                                .formatted(channel.peer(), millis));
    }

    private boolean isStuck(long now) {
        long sent = channel.bytesSent();
        if (sent != lastSent || channel.bytesAccepted() == sent) {
            lastSent = sent;
            lastProgressNanos = now;
        }
        return now - lastProgressNanos >= limitNanos;
    }

    /** An answer takes a while: half of the limit at least, however long the peer had nothing to say before. */
    private boolean isUnanswered(long now) {
        if (!awaiting || channel.bytesSent() < questionEnd) {
            return false;
        }
        if (!taken) {
            taken = true;
            takenNanos = now;
        }
        return now - takenNanos >= limitNanos / 2;
    }
}
