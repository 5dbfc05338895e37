package io.migrationd.returnpath;

import static java.util.Objects.requireNonNull;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.OptionalLong;
import java.util.stream.Stream;

/** The captured return paths, see fixtures/README.md. */
final class Fixtures {
    private static final long PC_RAM_BYTES = 8 << 20;

    private Fixtures() {}

    static Stream<String> names() {
        return Stream.of(
                "qemu-7.2.22/postcopy",
                "qemu-7.2.22/preempt",
                "qemu-7.2.22/recover-first",
                "qemu-7.2.22/recover-second",
                "qemu-10.0.13/hugepage-postcopy",
                "qemu-10.0.13/postcopy",
                "qemu-10.0.13/preempt",
                "qemu-10.0.13/recover-first",
                "qemu-10.0.13/recover-second",
                "qemu-10.0.13/switchover-ack");
    }

    static byte[] read(String name) {
        try (var in = Fixtures.class.getResourceAsStream("/fixtures/" + name + ".bin")) {
            return requireNonNull(in, name).readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static final BitmapSizes BITMAPS =
            block -> OptionalLong.of(block.equals("pc.ram") ? ReceivedPages.lengthFor(PC_RAM_BYTES / 4096) : 8);

    static final PageRequestLimits LIMITS = limits(4096, "pc.ram", PC_RAM_BYTES, "m0", PC_RAM_BYTES, "pc.bios", 65536);

    static PageRequestLimits limits(int hostPageBytes, Object... namesAndLengths) {
        List<Object> table = List.of(namesAndLengths);
        return new PageRequestLimits() {
            @Override
            public int hostPageBytes() {
                return hostPageBytes;
            }

            @Override
            public OptionalLong usedBytes(String block) {
                int at = table.indexOf(block);
                return at < 0 ? OptionalLong.empty() : OptionalLong.of(((Number) table.get(at + 1)).longValue());
            }
        };
    }
}
