package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.vmstate.Fields.At;
import io.migrationd.protocol.vmstate.Fields.SetAt;
import java.io.IOException;
import java.util.Arrays;
import java.util.BitSet;

/** Elements that are bytes to this package: buffers, padding, bitmaps and names. */
final class ByteElements {
    private ByteElements() {}

    private static long nominal(Count<?> count) {
        return count instanceof Count.Fixed<?>(int bytes) ? bytes : 0;
    }

    /** Raw bytes, as many as {@code length} says. */
    record Buffer<T>(String name, Count<T> length, At<T, byte[]> getter, SetAt<T, byte[]> setter)
            implements Element<T> {
        @Override
        public String typeName() {
            return "buffer";
        }

        @Override
        public long nominalSizeBytes() {
            return nominal(length);
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            byte[] bytes = getter.get(state, index);
            int count = length.saved(state, name);
            if (bytes.length < count) {
                throw new VmStateException(name, "%d bytes to be saved, %d are there".formatted(count, bytes.length));
            }
            to.out().writeBytes(bytes.length == count ? bytes : Arrays.copyOf(bytes, count));
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            setter.set(state, index, in.readBytes(length.loaded(state, in)));
        }
    }

    /** Zeroes that older versions used for something. */
    record Unused<T>(String name, Count<T> length) implements Element<T> {
        @Override
        public String typeName() {
            return "unused_buffer";
        }

        @Override
        public long nominalSizeBytes() {
            return nominal(length);
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            to.out().writeBytes(new byte[length.saved(state, name)]);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            in.readBytes(length.loaded(state, in));
        }
    }

    /** be64 words, bit i of the bitmap in word i / 64, least significant first. */
    record Bitmap<T>(String name, Count<T> bits, At<T, BitSet> getter, SetAt<T, BitSet> setter) implements Element<T> {
        @Override
        public String typeName() {
            return "bitmap";
        }

        @Override
        public long nominalSizeBytes() {
            return (long) words((int) nominal(bits)) * Long.BYTES;
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            int count = bits.saved(state, name);
            long[] words = Arrays.copyOf(getter.get(state, index).get(0, count).toLongArray(), words(count));
            for (long word : words) {
                to.out().writeLong(word);
            }
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            int count = bits.loaded(state, in);
            byte[] bytes = in.readBytes((long) words(count) * Long.BYTES);
            BitSet set = new BitSet(count);
            for (int bit = 0; bit < count; bit++) {
                int word = bit / Long.SIZE * Long.BYTES;
                int inWord = bit % Long.SIZE;
                if ((bytes[word + Long.BYTES - 1 - inWord / Byte.SIZE] & 1 << inWord % Byte.SIZE) != 0) {
                    set.set(bit);
                }
            }
            setter.set(state, index, set);
        }

        private static int words(int bits) {
            return Math.ceilDiv(bits, Long.SIZE);
        }
    }

    /** be32 length, bytes. Only 11.x. */
    record ByteArray<T>(String name, int capacity, At<T, byte[]> getter, SetAt<T, byte[]> setter)
            implements Element<T> {
        @Override
        public String typeName() {
            return "GByteArray";
        }

        @Override
        public long nominalSizeBytes() {
            return Integer.BYTES;
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            byte[] bytes = getter.get(state, index);
            if (bytes.length > capacity) {
                throw new VmStateException(name, "%d bytes, at most %d".formatted(bytes.length, capacity));
            }
            to.out().writeInt(bytes.length).writeBytes(bytes);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            long at = in.offset();
            long length = Integer.toUnsignedLong(in.readInt());
            if (length > capacity) {
                throw in.rejection(at, "a count of 0 to " + capacity, length);
            }
            setter.set(state, index, in.readBytes(length));
        }
    }

    /** A counted string; only in the configuration section. */
    record Capability<T>(At<T, String> getter, SetAt<T, String> setter) implements Element<T> {
        @Override
        public String typeName() {
            return "capability";
        }

        @Override
        public long nominalSizeBytes() {
            return 1;
        }

        @Override
        public void save(T state, int index, VmStateWriter to) {
            to.out().writeName(getter.get(state, index));
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            setter.set(state, index, in.readName());
        }
    }

    /** The byte that a file descriptor travels with; the descriptor itself is the transport's business. */
    record DescriptorPlace<T>() implements Element<T> {
        private static final int DUMMY = 0x20;

        @Override
        public String typeName() {
            return "fd";
        }

        @Override
        public long nominalSizeBytes() {
            return 1;
        }

        @Override
        public void save(T state, int index, VmStateWriter to) {
            to.out().writeU8(DUMMY);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            in.readU8();
        }
    }
}
