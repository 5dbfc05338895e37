package io.migrationd.protocol.inspect;

import io.migrationd.protocol.inspect.InspectResult.Fault;
import io.migrationd.protocol.multifd.MultifdHelloCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Map;
import java.util.Optional;

/**
 * Finds out what a capture is and walks it to its last byte or its first fault. Whatever bytes it is given, it ends
 * with a result; only the input's own failures come out as exceptions.
 */
public final class StreamInspector {
    private static final int CPR_MAGIC = 0x51435052;
    private static final int CPR_VERSION = 1;
    private static final int SCAN_BYTES = 1 << 20;

    private final InspectInput input;
    private final InspectOptions options;
    private final Trace trace;
    private String kind = "unknown";
    private Optional<StreamWalk> stream = Optional.empty();

    private StreamInspector(InspectInput input, InspectOptions options, InspectSink sink) {
        this.input = input;
        this.options = options;
        this.trace = new Trace(sink);
    }

    /** Walks {@code input} and tells {@code sink} what it finds. */
    public static InspectResult inspect(InspectInput input, InspectOptions options, InspectSink sink)
            throws IOException {
        return new StreamInspector(input, options, sink).run();
    }

    private InspectResult run() throws IOException {
        Optional<Fault> fault = Optional.empty();
        long start = options.offset().isPresent() ? options.offset().getAsLong() : 0;
        if (start > input.size()) {
            throw new IllegalArgumentException(
                    "offset " + start + " is behind the " + input.size() + " bytes of input");
        }
        InputCursor cursor = new InputCursor(input, start, input.size());
        try {
            walk(start, cursor);
        } catch (ProtocolException e) {
            InputCursor reading = stream.map(StreamWalk::cursor).orElse(cursor);
            fault = Optional.of(fault(e, reading.isTruncation(e)));
        }
        return new InspectResult(kind, trace.totals().asMap(), fault);
    }

    private Fault fault(ProtocolException e, boolean truncated) {
        String message = truncated
                ? "ends inside %s: %s".formatted(trace.place(), e.getMessage())
                : "%s (in %s)".formatted(e.getMessage(), trace.place());
        return new Fault(e.offset(), truncated, message);
    }

    private void walk(long start, InputCursor cursor) throws IOException {
        ByteBuffer head = input.at(start, StreamHeader.LENGTH);
        int magic = head.remaining() < Integer.BYTES ? 0 : head.getInt(0);
        int first = head.hasRemaining() ? Byte.toUnsignedInt(head.get(0)) : -1;
        if (first < 0) {
            kind = "empty capture";
        } else if (magic == StreamHeader.MAGIC) {
            walkStream(cursor);
        } else if (magic == MultifdHelloCodec.MAGIC) {
            kind = "multifd channel";
            new MultifdWalk(trace, options).walk(cursor.reader());
        } else if (magic == CPR_MAGIC) {
            kind = "CPR state channel";
            cprState(cursor);
        } else if (first == 0x08 || first == 0x02 || first == 0x03) {
            kind = "resumed postcopy connection";
            StreamWalk walk = new StreamWalk(input, cursor, trace, options);
            stream = Optional.of(walk);
            walk.walkResumed();
        } else if (start == 0
                && PreemptWalk.isNext(input, options.pageSizeBytes().orElse(4096))) {
            kind = "postcopy preempt channel";
            PreemptWalk.walk(cursor.reader(), trace, options);
        } else {
            walkStream(options.offset().isPresent() ? cursor : search(cursor));
        }
    }

    private void walkStream(InputCursor cursor) throws IOException {
        kind = "migration stream";
        StreamWalk walk = new StreamWalk(input, cursor, trace, options);
        stream = Optional.of(walk);
        walk.walkStream();
    }

    /** A cursor at the header of a stream that does not start at byte 0; the given one if there is none. */
    private InputCursor search(InputCursor cursor) throws IOException {
        byte[] header = ByteBuffer.allocate(StreamHeader.LENGTH)
                .putInt(StreamHeader.MAGIC)
                .putInt(StreamHeader.VERSION)
                .array();
        for (long piece = 0; piece < input.size(); piece += SCAN_BYTES) {
            ByteBuffer bytes = input.at(piece, SCAN_BYTES + header.length - 1);
            int found = indexOf(header, bytes);
            if (found >= 0) {
                trace.note(piece + found, "the stream starts here, not at offset 0");
                return new InputCursor(input, piece + found, input.size());
            }
        }
        return cursor;
    }

    private static int indexOf(byte[] header, ByteBuffer bytes) {
        for (int i = 0; i <= bytes.limit() - header.length; i++) {
            if (bytes.get(i) == header[0] && bytes.slice(i, header.length).equals(ByteBuffer.wrap(header))) {
                return i;
            }
        }
        return -1;
    }

    private void cprState(InputCursor cursor) throws IOException {
        trace.enter("the header of the CPR state");
        cursor.reader().readInt("cpr.magic");
        long at = cursor.reader().offset();
        int version = cursor.reader().readInt("cpr.version");
        if (version != CPR_VERSION) {
            throw new ProtocolException(
                    "cpr.version", at, Integer.toString(CPR_VERSION), Integer.toUnsignedString(version));
        }
        trace.item(0, "cpr", Map.of("version", version));
        trace.leave();
        trace.note(cursor.reader().offset(), "descriptors that travel beside the bytes follow, not looked at");
    }
}
