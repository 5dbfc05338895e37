package io.migrationd.migrationd.link.session;

/**
 * Times and bounds of sessions.
 *
 * @param heartbeatMillis a ping goes out this often
 * @param deadMillis a connection from which nothing came for so long is given up
 * @param reconnectMinMillis pause after the first failed attempt; doubles with each round over the peer's addresses
 * @param reconnectMaxMillis longest pause between two attempts
 * @param keepMillis how long the accepting side keeps a session without connection; {@link #FOR_EVER}: until closed
 * @param maxBufferBytes most bytes of one channel and direction that are under way: what we buffer at most, and the
 *     upper bound of windows. The smaller value of both ends counts
 */
public record PeerSettings(
        long heartbeatMillis,
        long deadMillis,
        long reconnectMinMillis,
        long reconnectMaxMillis,
        long keepMillis,
        long maxBufferBytes) {
    /** For {@code keepMillis}. */
    public static final long FOR_EVER = -1;

    /** Smallest {@code maxBufferBytes}. */
    public static final long MIN_BUFFER_BYTES = 1 << 20;

    /** Largest {@code maxBufferBytes}. */
    public static final long MAX_BUFFER_BYTES = 1 << 30;

    /** Ping each 500 ms, dead after 2 s, reconnect within 100 ms to 2 s, sessions kept until closed, 32 MiB. */
    public static final PeerSettings DEFAULT = new PeerSettings(500, 2000, 100, 2000, FOR_EVER, 32 << 20);

    /** Checks ranges. */
    public PeerSettings {
        if (heartbeatMillis < 1
                || deadMillis < 2 * heartbeatMillis
                || reconnectMinMillis < 1
                || reconnectMaxMillis < reconnectMinMillis) {
            throw new IllegalArgumentException("times must be positive, dead-millis at least twice heartbeat-millis");
        }
        if (maxBufferBytes < MIN_BUFFER_BYTES || maxBufferBytes > MAX_BUFFER_BYTES) {
            throw new IllegalArgumentException("buffers of %d bytes: %d to %d are possible"
                    .formatted(maxBufferBytes, MIN_BUFFER_BYTES, MAX_BUFFER_BYTES));
        }
    }
}
