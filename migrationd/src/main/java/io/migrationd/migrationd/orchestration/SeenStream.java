package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.relay.RelayTaps;
import io.migrationd.migrationd.relay.StreamTap;
import io.migrationd.migrationd.relay.tap.MainTap;
import io.migrationd.migrationd.relay.tap.ReturnTap;
import io.migrationd.migrationd.relay.tap.StreamKeeper;
import io.migrationd.migrationd.relay.tap.TapEvents;
import io.migrationd.migrationd.relay.tap.TapStatus;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * What the taps of one attempt find out. The event loop writes, who asks reads; the taps themselves know no threads, so
 * both are done under this object's lock, which is free but for a look now and then.
 */
final class SeenStream {
    private final StreamKeeper keeper = new StreamKeeper();
    // Guarded by this.
    private final MainTap main = new MainTap(keeper, TapEvents.NONE);
    private final ReturnTap returnPath = new ReturnTap();

    /** For a relay. */
    RelayTaps taps() {
        return new RelayTaps(
                () -> this::forward, () -> this::backward, () -> StreamTap.NONE, () -> StreamTap.NONE);
    }

    private synchronized void forward(ByteBuffer bytes) {
        main.accept(bytes);
    }

    private synchronized void backward(ByteBuffer bytes) {
        returnPath.accept(bytes);
    }

    /** For the report. */
    synchronized Optional<String> state() {
        TapStatus status = main.status();
        return Optional.of("%s after %d bytes, %d not understood%s"
                .formatted(
                        MoveWords.word(status.state()),
                        status.bytes(),
                        status.unparsedBytes(),
                        status.reason().map(": "::concat).orElse("")));
    }

    /** Whether the destination has said anything that only a QEMU says which may have run the guest. */
    synchronized boolean mayHaveRun() {
        return returnPath.requests() > 0;
    }

    /** What a rescue needs, once the package has passed whole. */
    synchronized Optional<Kept> kept() {
        if (keeper.prologue().isEmpty() || keeper.ramSetup().isEmpty() || keeper.packaged().isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(new Kept(
                keeper.prologue().get(),
                keeper.ramSetup().get(),
                keeper.packaged().get()));
    }

    /** Parts of a stream, whole. */
    @SuppressWarnings("ArrayRecordComponent") // Passed on once, never compared.
    record Kept(byte[] prologue, byte[] ramSetup, byte[] packaged) {}
}
