package io.migrationd.migrationd.relay;

import java.util.function.Consumer;

/** One end of the byte path of one attempt. Any thread; nothing blocks. */
public interface Relay extends AutoCloseable {
    /** For {@link #window}: by what the path delivers. */
    long ADAPTIVE = 0;

    /** How it stands now. */
    RelayStatus status();

    /**
     * Fixes how many bytes of the main channel may be in flight, from this QEMU's socket to the other's; bounded by
     * what both daemons buffer at most. {@link #ADAPTIVE}: measured rate × downtime limit × 15 % again.
     */
    void window(long mainBytes);

    /**
     * Whether nobody waits for a part of the stream: true in precopy, and before a switch to postcopy false again,
     * which it is at first. See {@link io.migrationd.migrationd.link.session.PeerChannel#bulk}.
     */
    void bulk(boolean on);

    /** {@code told} hears, on the session's thread, when state or link have changed; changes may be told together. */
    void onChange(Consumer<RelayStatus> told);

    /** Ends it. If it still carries, all connections of the attempt are broken at both ends. */
    @Override
    void close();
}
