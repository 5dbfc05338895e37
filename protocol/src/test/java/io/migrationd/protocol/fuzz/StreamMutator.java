package io.migrationd.protocol.fuzz;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;

/**
 * Damages captured streams, the same way for the same seed: flips bits, edits lengths, cuts, splices, repeats. Most of
 * a stream is page data that nobody looks at, so places that matter (starts of elements) can be given.
 */
public final class StreamMutator {
    private static final long[] EDGES = {
        0,
        1,
        2,
        0x7f,
        0x80,
        0xff,
        0x100,
        0x7fff,
        0x8000,
        0xffff,
        0x7fff_ffffL,
        0x8000_0000L,
        0xffff_ffffL,
        -1,
        Long.MIN_VALUE
    };

    /** How far behind a given place a change may be: a header, a counted name and the first words of a body. */
    private static final int REACH = 48;

    private final SplittableRandom random;
    private final List<String> changes = new ArrayList<>();

    /** A mutator whose results depend on {@code seed} and on what it has been asked so far. */
    public StreamMutator(long seed) {
        this.random = new SplittableRandom(seed);
    }

    /**
     * A damaged copy of {@code stream}.
     *
     * @param places offsets near which damage is worth most; may be empty
     * @param donor a stream to splice pieces from; may be {@code stream} itself
     */
    public byte[] mutate(byte[] stream, long[] places, byte[] donor) {
        changes.clear();
        byte[] result = stream.clone();
        int count = 1 + random.nextInt(4);
        for (int i = 0; i < count && result.length > 0; i++) {
            result = change(result, places, donor);
        }
        return result;
    }

    /** What the last call has done, for the message of a failure. */
    public String changes() {
        return String.join(", ", changes);
    }

    private byte[] change(byte[] bytes, long[] places, byte[] donor) {
        int at = place(bytes.length, places);
        return switch (random.nextInt(8)) {
            case 0, 1 -> flip(bytes, at);
            case 2 -> set(bytes, at);
            case 3, 4 -> edit(bytes, at);
            case 5 -> cut(bytes, at);
            case 6 -> remove(bytes, at);
            default -> insert(bytes, at, random.nextBoolean() ? bytes : donor, places);
        };
    }

    private int place(int length, long[] places) {
        if (places.length == 0 || random.nextInt(8) == 0) {
            return random.nextInt(length);
        }
        long place = places[random.nextInt(places.length)] + random.nextInt(REACH);
        return (int) Math.min(place, length - 1L);
    }

    private byte[] flip(byte[] bytes, int at) {
        int bit = random.nextInt(8);
        bytes[at] ^= (byte) (1 << bit);
        changes.add("flip bit %d at %d".formatted(bit, at));
        return bytes;
    }

    private byte[] set(byte[] bytes, int at) {
        bytes[at] = (byte) EDGES[random.nextInt(EDGES.length)];
        changes.add("set %02x at %d".formatted(bytes[at], at));
        return bytes;
    }

    private byte[] edit(byte[] bytes, int at) {
        int width = 2 << random.nextInt(3);
        if (at + width > bytes.length) {
            return set(bytes, at);
        }
        long value = EDGES[random.nextInt(EDGES.length)] + random.nextInt(3) - 1;
        ByteBuffer buffer = ByteBuffer.wrap(bytes);
        switch (width) {
            case 2 -> buffer.putShort(at, (short) value);
            case 4 -> buffer.putInt(at, (int) value);
            default -> buffer.putLong(at, value);
        }
        changes.add("be%d %x at %d".formatted(8 * width, value, at));
        return bytes;
    }

    private byte[] cut(byte[] bytes, int at) {
        changes.add("cut at " + at);
        return Arrays.copyOf(bytes, at);
    }

    private byte[] remove(byte[] bytes, int at) {
        int length = Math.min(bytes.length - at, pieceLength());
        byte[] result = new byte[bytes.length - length];
        System.arraycopy(bytes, 0, result, 0, at);
        System.arraycopy(bytes, at + length, result, at, result.length - at);
        changes.add("remove %d at %d".formatted(length, at));
        return result;
    }

    private byte[] insert(byte[] bytes, int at, byte[] from, long[] places) {
        if (from.length == 0) {
            return bytes;
        }
        int start = Math.min(place(from.length, places), from.length - 1);
        int length = Math.min(from.length - start, pieceLength());
        byte[] result = new byte[bytes.length + length];
        System.arraycopy(bytes, 0, result, 0, at);
        System.arraycopy(from, start, result, at, length);
        System.arraycopy(bytes, at, result, at + length, bytes.length - at);
        changes.add("insert %d from %d at %d".formatted(length, start, at));
        return result;
    }

    /** Mostly a field or a header, sometimes several pages. */
    private int pieceLength() {
        return 1 + random.nextInt(random.nextInt(4) == 0 ? 20_000 : 40);
    }
}
