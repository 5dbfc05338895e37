package io.migrationd.migrationd.relay;

import java.nio.file.Path;
import java.util.UUID;

/**
 * What a relay carries. Both ends of an attempt have the same move, attempt and connections.
 *
 * @param attempt which attempt of the move, from 0: every recovery is a new one
 * @param socket at the source: where the relay listens for QEMU; at the target: where QEMU listens
 * @param preempt whether QEMU opens a connection for requested pages
 * @param multifdChannels how many multifd connections QEMU opens
 * @param downtimeLimitMillis for the window of bytes in flight
 * @param initialWindowBytes the window before anything was measured
 */
public record RelayPlan(
        UUID move,
        int attempt,
        Path socket,
        boolean preempt,
        int multifdChannels,
        RelayTaps taps,
        long downtimeLimitMillis,
        long initialWindowBytes) {
    /** QEMU's own limit. */
    public static final int MAX_MULTIFD_CHANNELS = 255;

    /** QEMU's default. */
    public static final long DEFAULT_DOWNTIME_LIMIT_MILLIS = 300;

    /** Enough to find out what the path carries. */
    public static final long DEFAULT_WINDOW_BYTES = 1 << 20;

    /** Checks ranges. */
    public RelayPlan {
        if (attempt < 0
                || multifdChannels < 0
                || multifdChannels > MAX_MULTIFD_CHANNELS
                || downtimeLimitMillis < 0
                || initialWindowBytes < 1) {
            throw new IllegalArgumentException("attempt %d, %d multifd channels, %d ms or a window of %d out of range"
                    .formatted(attempt, multifdChannels, downtimeLimitMillis, initialWindowBytes));
        }
    }

    /** The first attempt of a move over one connection, nobody looking. */
    public static RelayPlan of(UUID move, Path socket) {
        return new RelayPlan(
                move, 0, socket, false, 0, RelayTaps.NONE, DEFAULT_DOWNTIME_LIMIT_MILLIS, DEFAULT_WINDOW_BYTES);
    }

    /** The same as another attempt, at another socket. */
    public RelayPlan withAttempt(int number, Path otherSocket) {
        return new RelayPlan(
                move, number, otherSocket, preempt, multifdChannels, taps, downtimeLimitMillis, initialWindowBytes);
    }

    /** The same with these connections beside main. */
    public RelayPlan withConnections(boolean withPreempt, int withMultifd) {
        return new RelayPlan(
                move, attempt, socket, withPreempt, withMultifd, taps, downtimeLimitMillis, initialWindowBytes);
    }

    /** The same, looked at. */
    public RelayPlan withTaps(RelayTaps others) {
        return new RelayPlan(
                move, attempt, socket, preempt, multifdChannels, others, downtimeLimitMillis, initialWindowBytes);
    }

    /** The same for another downtime limit. */
    public RelayPlan withDowntimeLimit(long millis) {
        return new RelayPlan(move, attempt, socket, preempt, multifdChannels, taps, millis, initialWindowBytes);
    }
}
