package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.PeerWatch;
import io.migrationd.migrationd.session.RecoverySettings;
import io.migrationd.migrationd.session.StreamPings;
import java.io.IOException;
import java.util.concurrent.TimeUnit;

/** Asks the destination every second, between sections, whether it is there. Migration thread. */
final class Heartbeat {
    private static final long INTERVAL_NANOS = TimeUnit.SECONDS.toNanos(1);
    /** Several beats in the time after which a silent peer is dead. */
    private static final int BEATS_PER_LIMIT = 4;

    private final PostcopyStream stream;
    private final PeerWatch watch;
    private final long intervalNanos;
    private long nextNanos;

    Heartbeat(PostcopyStream stream, PeerWatch watch, RecoverySettings recovery, long nowNanos) {
        this.stream = stream;
        this.watch = watch;
        this.intervalNanos =
                Math.min(INTERVAL_NANOS, TimeUnit.MILLISECONDS.toNanos(recovery.deadPeerMillis()) / BEATS_PER_LIMIT);
        this.nextNanos = nowNanos + intervalNanos;
    }

    /** Asks if it is time to and no answer is due. */
    void beat(long nowNanos) throws IOException {
        if (nowNanos >= nextNanos) {
            nextNanos = nowNanos + intervalNanos;
            if (!watch.isAwaiting()) {
                ask();
            }
        }
    }

    /** Asks now. */
    void ask() throws IOException {
        // Said before it is sent: the answer may be quicker than whoever asked.
        watch.asked(stream.position() + PostcopyStream.PING_BYTES);
        stream.ping(StreamPings.HEARTBEAT);
    }

    /** How long until {@link #beat} may have something to do. */
    long nanosLeft(long nowNanos) {
        return Math.max(1, nextNanos - nowNanos);
    }
}
