package io.migrationd.it.bench;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.SplittableRandom;

/** Files with what guest RAM may hold. */
final class RamContent {
    private static final int PIECE_BYTES = 1 << 20;
    private static final long SEED = 42;

    private RamContent() {}

    /** Noise that nothing can compress. */
    static Path noise(Path file, long lengthBytes) throws IOException {
        return noise(file, lengthBytes, 1);
    }

    /** Nothing but a hole. */
    static Path hole(Path file, long lengthBytes) throws IOException {
        try (RandomAccessFile out = new RandomAccessFile(file.toFile(), "rw")) {
            out.setLength(lengthBytes);
        }
        return file;
    }

    /** Noise in every {@code stride}-th MiB, hole between. */
    static Path noise(Path file, long lengthBytes, int stride) throws IOException {
        hole(file, lengthBytes);
        SplittableRandom random = new SplittableRandom(SEED);
        ByteBuffer piece = ByteBuffer.allocateDirect(PIECE_BYTES).order(ByteOrder.LITTLE_ENDIAN);
        try (FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE)) {
            for (long at = 0; at < lengthBytes; at += (long) stride * PIECE_BYTES) {
                fill(piece.clear(), random);
                piece.limit((int) Math.min(PIECE_BYTES, lengthBytes - at));
                writeFully(out, piece, at);
            }
        }
        return file;
    }

    /** Makes every page of a file present, with zeroes. */
    static void writeZeroes(Path file) throws IOException {
        ByteBuffer piece = ByteBuffer.allocateDirect(PIECE_BYTES);
        try (FileChannel out = FileChannel.open(file, StandardOpenOption.WRITE)) {
            long lengthBytes = out.size();
            for (long at = 0; at < lengthBytes; at += PIECE_BYTES) {
                piece.clear().limit((int) Math.min(PIECE_BYTES, lengthBytes - at));
                writeFully(out, piece, at);
            }
        }
    }

    private static void fill(ByteBuffer piece, SplittableRandom random) {
        while (piece.remaining() >= Long.BYTES) {
            piece.putLong(random.nextLong());
        }
        piece.flip();
    }

    private static void writeFully(FileChannel out, ByteBuffer piece, long at) throws IOException {
        long position = at;
        while (piece.hasRemaining()) {
            position += out.write(piece, position);
        }
    }
}
