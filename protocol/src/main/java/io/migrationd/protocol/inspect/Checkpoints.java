package io.migrationd.protocol.inspect;

import io.migrationd.protocol.stream.StreamLimits;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;

/**
 * COLO after the initial transfer, as the primary sends it: per checkpoint be32 1 (request), be32 3 (send), elements
 * and EOF, be32 4 and be64 size, that many bytes of device state. Wire source: QEMU 10.0 qapi/migration.json
 * COLOMessage, migration/colo.c colo_do_checkpoint_transaction.
 */
final class Checkpoints {
    private static final int REQUEST = 1;
    private static final int SEND = 3;
    private static final int SIZE = 4;

    private final StreamWalk stream;
    private final Trace trace;

    Checkpoints(StreamWalk stream, Trace trace) {
        this.stream = stream;
        this.trace = trace;
    }

    /** True if a checkpoint starts here: newer streams do not announce COLO. */
    static boolean isNext(StreamReader in) throws IOException {
        ByteBuffer next = in.peek(Integer.BYTES);
        return next != null && next.getInt(0) == REQUEST;
    }

    /** Checkpoints up to the end of the input. */
    void walk(InputCursor cursor) throws IOException {
        StreamReader in = cursor.reader();
        while (cursor.left() > 0) {
            long at = in.offset();
            trace.enter("the checkpoint at offset " + at);
            message(REQUEST, "request", in);
            trace.item(at, "CHECKPOINT");
            trace.totals().add("checkpoints", 1);
            trace.deeper();
            message(SEND, "send", in);
            stream.walkCheckpointElements();
            message(SIZE, "size", in);
            state(in);
            trace.higher();
            trace.leave();
        }
    }

    private void state(StreamReader in) throws IOException {
        long at = in.offset();
        long size = in.readLong("colo.state.size");
        if (size <= 0 || size > StreamLimits.MAX_PACKAGE) {
            throw new ProtocolException(
                    "colo.state.size", at, "1 to " + StreamLimits.MAX_PACKAGE + " bytes", Long.toUnsignedString(size));
        }
        trace.item(at, "STATE", Map.of("bytes", size));
        trace.deeper();
        stream.walkCheckpointState(size);
        trace.higher();
    }

    private static void message(int expected, String name, StreamReader in) throws IOException {
        long at = in.offset();
        int actual = in.readInt("colo.message");
        if (actual != expected) {
            throw new ProtocolException(
                    "colo.message", at, "%d (%s)".formatted(expected, name), Integer.toUnsignedString(actual));
        }
    }
}
