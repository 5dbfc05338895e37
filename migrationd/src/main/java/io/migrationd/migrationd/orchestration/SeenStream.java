package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.relay.RelayTaps;
import io.migrationd.migrationd.relay.StreamTap;
import io.migrationd.migrationd.relay.tap.MainTap;
import io.migrationd.migrationd.relay.tap.Mark;
import io.migrationd.migrationd.relay.tap.Pass;
import io.migrationd.migrationd.relay.tap.ReturnTap;
import io.migrationd.migrationd.relay.tap.StreamKeeper;
import io.migrationd.migrationd.relay.tap.TapEvents;
import io.migrationd.migrationd.relay.tap.TapStatus;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What the taps of one attempt find out. The event loop writes, who asks reads; the taps themselves know no threads, so
 * both are done under this object's lock, which is free but for a look now and then.
 */
final class SeenStream {
    /** A guest that does not converge makes passes without end. */
    private static final int MOST_PASSES = 1_000;

    private final StreamKeeper keeper = new StreamKeeper();
    // Guarded by this.
    private final MainTap main;
    private final ReturnTap returnPath = new ReturnTap();
    private final Map<Mark, Long> markNanos = new EnumMap<>(Mark.class);
    private final List<SeenPass> passes = new ArrayList<>();
    private long passBeganNanos = System.nanoTime();

    /** A pass and how long it took. */
    record SeenPass(Pass pass, long nanos) {}

    SeenStream() {
        main = new MainTap(keeper, new TapEvents() {
            @Override
            public void mark(Mark mark, long offset, long value) {
                markNanos.putIfAbsent(mark, System.nanoTime());
            }

            @Override
            public void passEnded(Pass pass) {
                long now = System.nanoTime();
                if (passes.size() < MOST_PASSES) {
                    passes.add(new SeenPass(pass, now - passBeganNanos));
                }
                passBeganNanos = now;
            }
        });
    }

    /** For a relay. */
    RelayTaps taps() {
        return new RelayTaps(() -> this::forward, () -> this::backward, () -> StreamTap.NONE, () -> StreamTap.NONE);
    }

    private synchronized void forward(ByteBuffer bytes) {
        main.accept(bytes);
    }

    private synchronized void backward(ByteBuffer bytes) {
        returnPath.accept(bytes);
    }

    synchronized TapStatus status() {
        return main.status();
    }

    synchronized List<SeenPass> passes() {
        return List.copyOf(passes);
    }

    /** When a place of the stream passed first, of the monotonic clock. */
    synchronized OptionalLong nanos(Mark mark) {
        Long at = markNanos.get(mark);
        return at == null ? OptionalLong.empty() : OptionalLong.of(at);
    }

    synchronized long requests() {
        return returnPath.requests();
    }

    /** What a rescue needs, once the package has passed whole. */
    synchronized Optional<Kept> kept() {
        // The package comes last: without it nothing is copied.
        return keeper.packaged()
                .flatMap(packaged -> keeper.prologue()
                        .flatMap(prologue -> keeper.ramSetup().map(setup -> new Kept(prologue, setup, packaged))));
    }

    /** What was kept is on disk, or of no use: its memory is given back. */
    synchronized void release() {
        keeper.release();
    }

    /** Parts of a stream, whole. */
    @SuppressWarnings("ArrayRecordComponent") // Passed on once, never compared.
    record Kept(byte[] prologue, byte[] ramSetup, byte[] packaged) {}
}
