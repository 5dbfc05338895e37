package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.postcopy.IncomingMemory;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * Whether the source is still at the other end of one main connection and of the preempt channel that goes with it. A
 * source that has sent heartbeats and stops to is gone. So is a preempt channel that is silent while a page is waited
 * for and the main connection is not: what was asked for is swallowed on the way. When both are silent, the source
 * sends no heartbeats, and TCP's timers decide.
 */
final class SourceWatch {
    private final MigrationChannel main;
    private final Supplier<Optional<MigrationChannel>> preempt;
    private final IncomingMemory memory;
    private final long limitNanos;
    private volatile boolean heartbeats;
    /** Since when requests that are waited for can have been on their way. */
    private volatile long askedNanos;

    SourceWatch(
            MigrationChannel main,
            Supplier<Optional<MigrationChannel>> preempt,
            IncomingMemory memory,
            long limitMillis) {
        this.main = main;
        this.preempt = preempt;
        this.memory = memory;
        this.limitNanos = TimeUnit.MILLISECONDS.toNanos(limitMillis);
        this.askedNanos = System.nanoTime();
    }

    /** A PING came. */
    void ping(int value) {
        heartbeats |= value == StreamPings.HEARTBEAT;
    }

    /** Whether the source sends heartbeats, as a daemon does. */
    boolean isDaemon() {
        return heartbeats;
    }

    /** RESUME: everything that is waited for was asked for again. */
    void askedAgain() {
        askedNanos = System.nanoTime();
    }

    /** Why the connection counts as broken, if it does. Any thread, never waits for long. */
    Optional<String> verdict() {
        long now = System.nanoTime();
        long silent = now - main.lastReceivedNanos();
        if (silent > limitNanos) {
            return heartbeats
                    ? Optional.of("the source has been silent for %d ms".formatted(millis(silent)))
                    : Optional.empty();
        }
        return swallowed(now);
    }

    private Optional<String> swallowed(long now) {
        OptionalLong since = memory.awaitedSinceNanos();
        if (since.isEmpty()) {
            return Optional.empty();
        }
        Optional<MigrationChannel> second = preempt.get();
        long unanswered = now - since.getAsLong();
        return second.isPresent()
                        && unanswered > limitNanos
                        && now - askedNanos > limitNanos
                        && now - second.get().lastReceivedNanos() > limitNanos
                ? Optional.of("a page was asked for %d ms ago and the preempt channel is silent"
                        .formatted(millis(unanswered)))
                : Optional.empty();
    }

    private static long millis(long nanos) {
        return TimeUnit.NANOSECONDS.toMillis(nanos);
    }
}
