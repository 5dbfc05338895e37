package io.migrationd.migrationd.relay.tap;

import io.migrationd.protocol.wire.ProtocolException;
import java.nio.ByteBuffer;

/**
 * Watches a postcopy preempt channel: page records and nothing around them. QEMU 7.2, and newer ones with its machine
 * types, end it with one end mark; the others just close it.
 */
public final class PreemptTap extends PushParser {
    private final RamRecords ram;

    /** A tap for a guest whose pages have {@code pageSizeBytes}, as the main channel says. */
    public PreemptTap(int pageSizeBytes) {
        ram = new RamRecords(pageSizeBytes, new PassCounter(TapEvents.NONE));
        ram.postcopyBegins();
    }

    @Override
    int step(ByteBuffer in, int at, int limit) throws ProtocolException {
        if (isEnded()) {
            throw new ProtocolException("preempt.end", offset(), "nothing behind the end mark", "some bytes");
        }
        int result = ram.step(in, at, limit, offset());
        long over = ram.takeSkip();
        if (over > 0) {
            skip(over);
        }
        if (ram.isBodyEnded()) {
            end();
        }
        return result;
    }

    @Override
    void finished() {
        end();
    }

    /** Pages that have passed. */
    public PageCounts pages() {
        return ram.pages();
    }

    /** True if the channel was ended by a mark. */
    public boolean hasEndMark() {
        return ram.endMarks() > 0;
    }
}
