package io.migrationd.protocol.inspect;

import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;

/** A postcopy preempt channel: page records and nothing around them; 7.2 writes one end mark last. */
final class PreemptWalk {
    private PreemptWalk() {}

    /** Could a preempt channel start with these bytes? Its first record is a page and names its block. */
    static boolean isNext(InspectInput input, int pageSize) throws IOException {
        ByteBuffer head = input.at(0, Long.BYTES + 2);
        if (head.remaining() < Long.BYTES + 2) {
            return false;
        }
        long word = head.getLong(0);
        long flags = word & (pageSize - 1);
        byte firstOfName = head.get(Long.BYTES + 1);
        return word >= 0
                && (flags == RamFlags.PAGE || flags == RamFlags.ZERO)
                && head.get(Long.BYTES) != 0
                && firstOfName >= ' '
                && firstOfName < 0x7f;
    }

    static void walk(StreamReader in, Trace trace, InspectOptions options) throws IOException {
        GuestRam ram = new GuestRam();
        options.pageSizeBytes().ifPresent(size -> ram.pageSize = size);
        RamBody body = new RamBody(ram, trace, Long.MAX_VALUE);
        body.postcopyBegins();
        BodyReport report = new BodyReport();
        long start = in.offset();
        trace.enter(body);
        try {
            boolean more = true;
            while (more && !in.atEnd()) {
                more = body.record(in, report);
            }
        } finally {
            trace.totals().addAll(report.counts());
            trace.item(start, "pages", report.details());
        }
        if (!in.atEnd()) {
            trace.note(in.offset(), "bytes follow the end mark");
        }
        trace.leave();
        trace.item(in.offset(), "end of channel", Map.of());
    }
}
