package io.migrationd.migrationd.link.session;

import io.netty.buffer.ByteBuf;
import java.util.ArrayDeque;
import java.util.SplittableRandom;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Writes a pattern of a known length into a channel and checks that the other end's pattern comes out. */
final class PatternReader implements ChannelReader {
    private static final int MAX_PIECE = 100_000;

    private final SplittableRandom random;
    private final long patternOut;
    private final long patternIn;
    private final long total;
    private final PeerChannels session;
    private final boolean slow;
    final CompletableFuture<String> finished = new CompletableFuture<>();
    final CompletableFuture<String> ended = new CompletableFuture<>();
    private final ArrayDeque<Long> held = new ArrayDeque<>();
    private @Nullable PeerChannel channel;
    private long writtenTotal;
    private long readTotal;
    volatile long mostInFlight;
    volatile long mostBuffered;

    PatternReader(PeerChannels session, long seed, long patternOut, long patternIn, long total, boolean slow) {
        this.session = session;
        this.random = new SplittableRandom(seed);
        this.patternOut = patternOut;
        this.patternIn = patternIn;
        this.total = total;
        this.slow = slow;
    }

    void channel(PeerChannel newChannel) {
        channel = newChannel;
    }

    void start(PeerChannel newChannel, long window) {
        channel = newChannel;
        newChannel.window(window);
        write();
    }

    static byte byteAt(long pattern, long offset) {
        long word = (offset >>> 3) * 0x9E37_79B9_7F4A_7C15L + pattern;
        word = (word ^ word >>> 29) * 0xBF58_476D_1CE4_E5B9L;
        return (byte) (word >>> ((offset & 7) << 3));
    }

    private PeerChannel channel() {
        PeerChannel now = channel;
        if (now == null) {
            throw new IllegalStateException();
        }
        return now;
    }

    private void write() {
        PeerChannel to = channel();
        while (writtenTotal < total && to.room() > 0) {
            int length = (int) Math.min(Math.min(1 + random.nextInt(MAX_PIECE), to.room()), total - writtenTotal);
            ByteBuf bytes = io.netty.buffer.PooledByteBufAllocator.DEFAULT.directBuffer(length);
            for (int i = 0; i < length; i++) {
                bytes.writeByte(byteAt(patternOut, writtenTotal + i));
            }
            writtenTotal += length;
            to.write(bytes);
            mostInFlight = Math.max(mostInFlight, to.writtenBytes() - to.deliveredThereBytes());
            if (writtenTotal == total) {
                to.end();
            }
        }
        to.flush();
    }

    @Override
    public void received(ByteBuf bytes) {
        int length = bytes.readableBytes();
        for (int i = 0; i < length; i++) {
            byte expected = byteAt(patternIn, readTotal + i);
            if (bytes.getByte(bytes.readerIndex() + i) != expected) {
                ended.complete("damage at " + (readTotal + i));
            }
        }
        readTotal += length;
        bytes.release();
        PeerChannel from = channel();
        mostBuffered = Math.max(mostBuffered, from.receivedBytes() - from.deliveredBytes());
        if (slow && random.nextInt(4) == 0) {
            held.add((long) length);
            var _ = session.loop()
                    .schedule(() -> from.delivered(held.remove()), random.nextLong(3_000_000L), TimeUnit.NANOSECONDS);
        } else {
            from.delivered(length);
        }
    }

    @Override
    public void receivedAll() {}

    @Override
    public void ended() {
        ended.complete(readTotal == total ? "whole" : "ended at " + readTotal);
    }

    @Override
    public void finished() {
        finished.complete("whole");
    }

    @Override
    public void roomGrown() {
        write();
    }

    @Override
    public void reset(String reason) {
        ended.complete("reset: " + reason);
        finished.complete("reset: " + reason);
    }
}
