package io.migrationd.protocol.inspect;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;

/**
 * Bodies of a {@code vfio} section: be64 tags. The device's configuration has no length; its end is where the end tag
 * is found. Known from reading only. Wire source: QEMU 10.0 hw/vfio/migration.c, VFIO_MIG_FLAG_*.
 */
final class VfioBody implements BodyGrammar {
    private static final long END = 0xffffffffef100001L;
    private static final long CONFIG = 0xffffffffef100002L;
    private static final long SETUP = 0xffffffffef100003L;
    private static final long DATA = 0xffffffffef100004L;
    private static final long INITIAL_DATA_SENT = 0xffffffffef100005L;
    private static final int MAX_CONFIG = 1 << 20;

    @Override
    public void walk(StreamReader in, BodyReport report) throws IOException {
        while (true) {
            long at = in.offset();
            long tag = in.readLong("vfio.tag");
            if (tag == DATA) {
                data(in, report);
            } else if (tag == CONFIG) {
                config(in, report);
                return;
            } else if (tag == SETUP) {
                end("vfio.setup", in);
                return;
            } else if (tag == END || tag == INITIAL_DATA_SENT) {
                return;
            } else {
                throw new ProtocolException(
                        "vfio.tag", at, "0x%x to 0x%x".formatted(END, INITIAL_DATA_SENT), "0x%x".formatted(tag));
            }
        }
    }

    private static void data(StreamReader in, BodyReport report) throws IOException {
        long at = in.offset();
        long size = in.readLong("vfio.data.size");
        if (size < 0) {
            throw new ProtocolException("vfio.data.size", at, "a size below 2^63", Long.toUnsignedString(size));
        }
        in.skip("vfio.data", size);
        report.count("vfio_data_bytes", size);
    }

    private static void config(StreamReader in, BodyReport report) throws IOException {
        long at = in.offset();
        while (true) {
            ByteBuffer next = in.peek(Long.BYTES);
            if (next == null || in.offset() - at > MAX_CONFIG) {
                throw new ProtocolException("vfio.config", at, "the end tag 0x%x".formatted(END), "none");
            }
            if (next.getLong(0) == END) {
                report.count("vfio_config_bytes", in.offset() - at);
                in.skip("vfio.config", Long.BYTES);
                return;
            }
            in.skip("vfio.config", 1);
        }
    }

    private static void end(String field, StreamReader in) throws IOException {
        long at = in.offset();
        long tag = in.readLong(field);
        if (tag != END) {
            throw new ProtocolException(field, at, "the end tag 0x%x".formatted(END), "0x%x".formatted(tag));
        }
    }
}
