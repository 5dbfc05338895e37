package io.migrationd.it.peer;

import java.io.IOException;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Optional;

/** Compares images of guest RAM. */
public final class RamImages {
    /** Where a PC hides RAM below video memory and ROMs: the RAM block has content there that the guest cannot see. */
    private static final int HOLE_START = 0xA0000;

    private static final int HOLE_END = 0x100000;

    private RamImages() {}

    /**
     * The first difference between the guest-physical image and the RAM block, outside of what a PC hides, as a
     * sentence. Both must have the same length, below 2 GiB.
     */
    public static Optional<String> difference(Path physical, Path block) throws IOException {
        if (Files.size(physical) != Files.size(block)) {
            return Optional.of(
                    "%s has %d bytes, %s has %d".formatted(physical, Files.size(physical), block, Files.size(block)));
        }
        try (FileChannel one = FileChannel.open(physical, StandardOpenOption.READ);
                FileChannel other = FileChannel.open(block, StandardOpenOption.READ)) {
            MappedByteBuffer a = one.map(FileChannel.MapMode.READ_ONLY, 0, one.size());
            MappedByteBuffer b = other.map(FileChannel.MapMode.READ_ONLY, 0, other.size());
            int low = a.slice(0, HOLE_START).mismatch(b.slice(0, HOLE_START));
            if (low >= 0) {
                return Optional.of(describe(a, b, low));
            }
            int rest = a.capacity() - HOLE_END;
            int high = a.slice(HOLE_END, rest).mismatch(b.slice(HOLE_END, rest));
            return high < 0 ? Optional.empty() : Optional.of(describe(a, b, HOLE_END + high));
        }
    }

    private static String describe(MappedByteBuffer a, MappedByteBuffer b, int at) {
        return "offset 0x%x: %02x and %02x".formatted(at, a.get(at), b.get(at));
    }
}
