package io.migrationd.migrationd.guest.qemu;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A RAM block of a QEMU.
 *
 * @param name as in the stream
 * @param pageSizeBytes of the host memory behind it
 * @param usedBytes what the stream announces
 * @param maxBytes what it may grow to
 */
public record QemuBlock(String name, long pageSizeBytes, long usedBytes, long maxBytes) {
    /** Source of the format: QEMU 10.0 softmmu/physmem.c, ram_block_format(); 7.2 lacks the last two columns. */
    private static final Pattern LINE = Pattern.compile(
            "^\\s*(\\S.*?)\\s+([0-9]+) (B|KiB|MiB|GiB)\\s+0x[0-9a-f]{16} 0x([0-9a-f]{16}) 0x([0-9a-f]{16})(?:\\s.*)?$");

    /** Blocks without a name do not migrate and are left out. */
    static List<QemuBlock> ofInfoRamblock(String text) {
        List<QemuBlock> blocks = new ArrayList<>();
        text.lines().forEach(line -> {
            Matcher matcher = LINE.matcher(line);
            if (matcher.matches()) {
                blocks.add(new QemuBlock(
                        matcher.group(1),
                        Long.parseLong(matcher.group(2)) << shift(matcher.group(3)),
                        Long.parseUnsignedLong(matcher.group(4), 16),
                        Long.parseUnsignedLong(matcher.group(5), 16)));
            }
        });
        return List.copyOf(blocks);
    }

    private static int shift(String unit) {
        return switch (unit) {
            case "KiB" -> 10;
            case "MiB" -> 20;
            case "GiB" -> 30;
            default -> 0;
        };
    }
}
