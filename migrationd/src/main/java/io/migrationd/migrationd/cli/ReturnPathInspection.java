package io.migrationd.migrationd.cli;

import io.migrationd.protocol.inspect.InspectInput;
import io.migrationd.protocol.inspect.InspectItem;
import io.migrationd.protocol.inspect.InspectResult;
import io.migrationd.protocol.inspect.InspectResult.Fault;
import io.migrationd.protocol.inspect.InspectSink;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.BitmapSizes;
import io.migrationd.returnpath.ReturnPathCodec;
import io.migrationd.returnpath.ReturnPathMessage;
import io.migrationd.returnpath.ReturnPathMessage.Pong;
import io.migrationd.returnpath.ReturnPathMessage.ReceivedBitmap;
import io.migrationd.returnpath.ReturnPathMessage.RequestPages;
import io.migrationd.returnpath.ReturnPathMessage.RequestPagesOf;
import io.migrationd.returnpath.ReturnPathMessage.ResumeAck;
import io.migrationd.returnpath.ReturnPathMessage.Shut;
import io.migrationd.returnpath.ReturnPathMessage.SwitchoverAck;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;

/** Prints a captured return path message by message. */
final class ReturnPathInspection {
    private static final String KIND = "return path";
    private static final int CHUNK_BYTES = 1 << 20;

    /** Covers a block of 32 TiB; a capture that claims more is refused. */
    private static final long MAX_BITMAP_BYTES = 1L << 30;

    private ReturnPathInspection() {}

    static InspectResult inspect(InspectInput input, long start, InspectSink sink) throws IOException {
        long[] next = {start};
        StreamReader in = new StreamReader(
                () -> {
                    ByteBuffer chunk = input.at(next[0], CHUNK_BYTES);
                    next[0] += chunk.remaining();
                    return chunk.hasRemaining() ? chunk : null;
                },
                start);
        Map<String, Long> totals = new LinkedHashMap<>();
        long at = start;
        try {
            while (!in.atEnd()) {
                at = in.offset();
                ReturnPathMessage message = ReturnPathCodec.decode(in, announcedBitmap(input, at));
                InspectItem item = item(at, message);
                totals.merge(item.what(), 1L, Long::sum);
                sink.accept(item);
            }
        } catch (ProtocolException e) {
            return new InspectResult(KIND, totals, Optional.of(fault(at, e, in, input)));
        }
        return new InspectResult(KIND, totals, Optional.empty());
    }

    private static Fault fault(long at, ProtocolException e, StreamReader in, InspectInput input) {
        boolean truncated = e.offset() == in.offset() && in.offset() + in.buffered() == input.size();
        String message = (truncated
                        ? "ends inside the message at offset %d: %s"
                        : "%2$s (in the message at offset %1$d)")
                .formatted(at, e.getMessage());
        return new Fault(e.offset(), truncated, message);
    }

    /** Nobody is there who waits for bitmaps, so the size that the message announces is the one that is expected. */
    private static BitmapSizes announcedBitmap(InspectInput input, long messageOffset) {
        return block -> {
            try {
                // be16 type, be16 length, counted name.
                ByteBuffer size = input.at(messageOffset + 5 + block.length(), Long.BYTES);
                long bytes = size.remaining() < Long.BYTES ? 0 : size.getLong();
                return bytes > 0 && bytes <= MAX_BITMAP_BYTES ? OptionalLong.of(bytes) : OptionalLong.empty();
            } catch (IOException _) {
                return OptionalLong.empty();
            }
        };
    }

    private static InspectItem item(long offset, ReturnPathMessage message) {
        Map<String, Object> details = new LinkedHashMap<>();
        String what = switch (message) {
            case Shut(int status) -> {
                details.put("status", status);
                yield "SHUT";
            }
            case Pong(int value) -> {
                details.put("value", "0x" + Integer.toHexString(value));
                yield "PONG";
            }
            case RequestPagesOf(String block, long start, int lengthBytes) -> {
                details.put("block", block);
                details.put("start", "0x" + Long.toHexString(start));
                details.put("bytes", lengthBytes);
                yield "REQ_PAGES_ID";
            }
            case RequestPages(long start, int lengthBytes) -> {
                details.put("start", "0x" + Long.toHexString(start));
                details.put("bytes", lengthBytes);
                yield "REQ_PAGES";
            }
            case ReceivedBitmap bitmap -> {
                details.put("block", bitmap.block());
                yield "RECV_BITMAP";
            }
            case ResumeAck(int value) -> {
                details.put("value", value);
                yield "RESUME_ACK";
            }
            case SwitchoverAck() -> "SWITCHOVER_ACK";
        };
        return new InspectItem(offset, 0, what, details);
    }
}
