package io.migrationd.protocol.inspect;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;

/** Bodies of {@code spapr/htab}. Wire source: QEMU 10.0 hw/ppc/spapr.c, htab_save_setup, htab_save_iterate. */
final class HashTableBody implements BodyGrammar {
    private static final int NO_TABLE = 0xFFFF_FFFF;
    private static final int MAX_SHIFT = 46;
    private static final int ENTRY_BYTES = 16;

    /** Entries of the table, from the START body. */
    private long entries;

    @Override
    public void walk(StreamReader in, BodyReport report) throws IOException {
        long at = in.offset();
        int header = in.readInt("htab.header");
        if (header == NO_TABLE) {
            report.detail("table", "none");
        } else if (header != 0) {
            size(header, at, report);
        } else {
            chunks(in, report);
        }
    }

    private void size(int shift, long at, BodyReport report) throws ProtocolException {
        if (shift < 0 || shift > MAX_SHIFT) {
            throw new ProtocolException("htab.shift", at, "1 to " + MAX_SHIFT, Integer.toUnsignedString(shift));
        }
        entries = (1L << shift) / ENTRY_BYTES;
        report.detail("shift", shift);
    }

    private void chunks(StreamReader in, BodyReport report) throws IOException {
        while (true) {
            long at = in.offset();
            long index = in.readU32("htab.index");
            int valid = in.readU16("htab.valid");
            int invalid = in.readU16("htab.invalid");
            if (index == 0 && valid == 0 && invalid == 0) {
                return;
            }
            if (entries != 0 && index + valid + invalid > entries) {
                throw new ProtocolException(
                        "htab.index", at, "entries below " + entries, index + " and " + (valid + invalid) + " more");
            }
            in.skip("htab.entries", (long) valid * ENTRY_BYTES);
            report.count("htab_valid", valid);
            report.count("htab_invalid", invalid);
        }
    }
}
