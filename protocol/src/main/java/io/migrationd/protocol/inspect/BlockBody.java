package io.migrationd.protocol.inspect;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;

/** Records of the {@code block} section of QEMU up to 9.0. Wire source: QEMU 7.2 migration/block.c. */
final class BlockBody implements BodyGrammar {
    private static final int DEVICE_BLOCK = 0x01;
    private static final int EOS = 0x02;
    private static final int PROGRESS = 0x04;
    private static final int ZERO_BLOCK = 0x08;
    private static final int FLAGS = 0x1ff;
    private static final long BLOCK_BYTES = 1 << 20;

    @Override
    public void walk(StreamReader in, BodyReport report) throws IOException {
        while (true) {
            long at = in.offset();
            long word = in.readLong("block.record");
            int flags = (int) (word & FLAGS);
            report.count("blk");
            switch (flags) {
                case EOS -> {
                    return;
                }
                case PROGRESS -> report.count("blk_progress");
                case DEVICE_BLOCK -> {
                    in.readName("block.device");
                    in.skip("block.data", BLOCK_BYTES);
                    report.count("blk_data");
                }
                case DEVICE_BLOCK | ZERO_BLOCK -> {
                    in.readName("block.device");
                    report.count("blk_zero");
                }
                default ->
                    throw new ProtocolException(
                            "block.flags", at, "0x1, 0x9, 0x2 or 0x4", "0x" + Integer.toHexString(flags));
            }
        }
    }
}
