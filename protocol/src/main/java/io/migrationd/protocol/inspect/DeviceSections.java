package io.migrationd.protocol.inspect;

import io.migrationd.protocol.stream.Printable;
import io.migrationd.protocol.stream.StreamElement.Full;
import io.migrationd.protocol.vmstate.OpaqueSectionReader;
import io.migrationd.protocol.vmstate.VmDescription;
import io.migrationd.protocol.vmstate.VmDescription.Device;
import io.migrationd.protocol.vmstate.VmDescriptionException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.IntPredicate;

/** Finds where device sections end: by the trailing description, else by their footers. */
final class DeviceSections {
    /** How much of the input is held at a time to measure bodies in. */
    private static final int WINDOW_BYTES = 16 << 20;

    /** Bodies that only a footer delimited; a description that comes later can tell if that was right. */
    private record Guessed(String idstr, int instanceId, long offset, int length) {}

    private final InspectInput input;
    private final Trace trace;
    private final Optional<VmDescription> description;
    private final OpaqueSectionReader byFooter = new OpaqueSectionReader();
    private final List<Guessed> guessed = new ArrayList<>();
    private byte[] window = new byte[0];
    private long windowStart;

    DeviceSections(InspectInput input, Trace trace, Optional<VmDescription> description) {
        this.input = input;
        this.trace = trace;
        this.description = description;
    }

    /** Reads the body of {@code section}; the next byte of {@code in} is what follows it. */
    byte[] readBody(Full section, InputCursor cursor, IntPredicate knownIds, BodyReport report) throws IOException {
        StreamReader in = cursor.reader();
        long at = in.offset();
        Optional<Device> device = description.flatMap(d -> d.device(section.idstr(), section.instanceId()));
        if (device.isPresent()) {
            Optional<Integer> length = measure(device.get(), at, cursor.end());
            if (length.isPresent()) {
                report.detail("bytes", length.get());
                report.detail("by", "description");
                return in.readBytes("section.body", length.get(), WINDOW_BYTES);
            }
        }
        byte[] body = byFooter.readBody(in, section.sectionId(), knownIds);
        guessed.add(new Guessed(section.idstr(), section.instanceId(), at, body.length));
        report.detail("bytes", body.length);
        report.detail("by", "footer");
        return body;
    }

    /** Compares what footers have delimited with a description that was found behind the sections. */
    void verify(VmDescription late) throws IOException {
        for (Guessed body : guessed) {
            Optional<Device> device = late.device(body.idstr(), body.instanceId());
            if (device.isPresent()) {
                Optional<Integer> length = measure(device.get(), body.offset(), input.size());
                if (length.isPresent() && length.get() != body.length()) {
                    trace.note(
                            body.offset(),
                            "section %s has %d bytes by its footer, %d by the description"
                                    .formatted(Printable.quote(body.idstr()), body.length(), length.get()));
                }
            }
        }
        guessed.clear();
    }

    /** The body's length if its bytes are what the description says. */
    private Optional<Integer> measure(Device device, long offset, long end) throws IOException {
        boolean fresh = load(offset, false);
        try {
            int length = VmDescription.bodyLength(device, window, (int) (offset - windowStart));
            return offset + length <= end ? Optional.of(length) : Optional.empty();
        } catch (VmDescriptionException e) {
            if (!fresh && windowStart + window.length < input.size()) {
                load(offset, true);
                return measure(device, offset, end);
            }
            trace.note(
                    offset,
                    "the description does not fit section %s: %s"
                            .formatted(
                                    Printable.quote(device.name()), Printable.quote(String.valueOf(e.getMessage()))));
            return Optional.empty();
        }
    }

    /** True if the window starts at {@code offset}, so that no other window would hold more of the body. */
    private boolean load(long offset, boolean anew) throws IOException {
        if (anew || offset < windowStart || offset >= windowStart + window.length) {
            ByteBuffer bytes = input.at(offset, (int) Math.min(WINDOW_BYTES, input.size() - offset));
            window = new byte[bytes.remaining()];
            bytes.get(window);
            windowStart = offset;
        }
        return windowStart == offset;
    }
}
