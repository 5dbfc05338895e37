package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.vmstate.VmDescription.Device;
import io.migrationd.protocol.vmstate.VmDescription.Field;
import io.migrationd.protocol.vmstate.VmDescription.Layout;
import io.migrationd.protocol.wire.Names;
import java.nio.ByteBuffer;

/** Walks one section body by its trailing description. Only headers of subsections are looked at. */
final class DescribedBody {
    /** A description and its bytes come from the peer: arrays of empty structs must not keep us for ever. */
    private static final int MAX_STEPS = 20_000_000;

    private final Device device;
    private final ByteBuffer bytes;
    private final int start;
    private int steps;

    DescribedBody(Device device, byte[] bytes, int start) {
        this.device = device;
        this.bytes = ByteBuffer.wrap(bytes).position(start);
        this.start = start;
    }

    int length() throws VmDescriptionException {
        consume(device.layout(), device.name());
        return bytes.position() - start;
    }

    private void consume(Layout layout, String path) throws VmDescriptionException {
        for (Field field : layout.fields()) {
            if (field.struct().isPresent()) {
                consumeStructs(field, field.struct().get(), path);
            } else {
                step(path);
                take(field.sizeBytes() * field.arrayLength(), path, field.name());
            }
        }
        for (Layout subsection : layout.subsections()) {
            consumeHeader(subsection, path);
            consume(subsection, subsection.name());
        }
    }

    private void consumeStructs(Field field, Layout struct, String path) throws VmDescriptionException {
        String name = path + "." + field.name();
        for (int i = 0; i < field.arrayLength(); i++) {
            step(name);
            int before = bytes.position();
            consume(struct, name);
            int taken = bytes.position() - before;
            if (field.sizeBytes() >= 0 && taken != field.sizeBytes()) {
                throw new VmDescriptionException(
                        name, "a struct of %d bytes has fields of %d bytes".formatted(field.sizeBytes(), taken));
            }
            if (taken == 0) {
                return;
            }
        }
    }

    private void consumeHeader(Layout subsection, String path) throws VmDescriptionException {
        byte[] name = Names.toWire(subsection.name());
        byte[] expected = ByteBuffer.allocate(name.length + 6)
                .put((byte) Elements.SUBSECTION)
                .put((byte) name.length)
                .put(name)
                .putInt(subsection.version())
                .array();
        int at = bytes.position();
        take(expected.length, path, subsection.name());
        if (!bytes.slice(at, expected.length).equals(ByteBuffer.wrap(expected))) {
            throw new VmDescriptionException(
                    path,
                    "no header of subsection %s version %d at byte %d of the body"
                            .formatted(subsection.name(), subsection.version(), at - start));
        }
    }

    private void take(long length, String path, String name) throws VmDescriptionException {
        if (length > bytes.remaining()) {
            throw new VmDescriptionException(
                    path + "." + name, "%d bytes are described, %d are left".formatted(length, bytes.remaining()));
        }
        bytes.position(bytes.position() + (int) length);
    }

    private void step(String path) throws VmDescriptionException {
        if (++steps > MAX_STEPS) {
            throw new VmDescriptionException(path, "more than " + MAX_STEPS + " elements");
        }
    }
}
