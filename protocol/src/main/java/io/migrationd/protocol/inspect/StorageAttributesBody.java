package io.migrationd.protocol.inspect;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;

/**
 * s390 {@code s390-storage_attributes} and {@code s390-skeys}: be64 words whose low 12 bits say what follows. Wire
 * source: QEMU 10.0 hw/s390x/s390-stattrib.c cmma_save, s390-skeys.c s390_storage_keys_save.
 */
final class StorageAttributesBody implements BodyGrammar {
    private static final int FLAGS = 0xfff;
    private static final int END = 0x01;
    private static final int VALUES = 0x02;
    private static final int ERROR = 0x04;
    private static final int DONE = 0x08;

    private final String field;

    /** {@code field} is what messages call it. */
    StorageAttributesBody(String field) {
        this.field = field;
    }

    @Override
    public void walk(StreamReader in, BodyReport report) throws IOException {
        while (true) {
            long at = in.offset();
            int flags = (int) (in.readLong(field + ".word") & FLAGS);
            switch (flags) {
                case END -> {
                    return;
                }
                case VALUES -> values(in, report);
                case DONE -> report.count("done_marks");
                default ->
                    throw new ProtocolException(
                            field + ".flags",
                            at,
                            "0x1, 0x2 or 0x8",
                            flags == ERROR ? "0x4, an error of the source" : "0x" + Integer.toHexString(flags));
            }
        }
    }

    private void values(StreamReader in, BodyReport report) throws IOException {
        long at = in.offset();
        long count = in.readLong(field + ".count");
        if (count < 0) {
            throw new ProtocolException(field + ".count", at, "a count below 2^63", Long.toUnsignedString(count));
        }
        in.skip(field + ".values", count);
        report.count("values", count);
    }
}
