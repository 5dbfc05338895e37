package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.vmstate.VmDescription.Device;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.WireReader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * Splits device sections by the trailing description: exactly, where {@link OpaqueSectionReader} can only guess, but
 * not before the end of the stream.
 */
public final class SectionSplitter {
    private SectionSplitter() {}

    /** A device section as it was cut out of a stream: body without header and footer. */
    public record Section(int id, String name, int instanceId, int version, byte[] body) {}

    /** A section that isn't what the description says, in words. */
    public record Disagreement(String section, int instanceId, String problem) {}

    /** Compares sections, in stream order, with their description. The result is empty if they agree. */
    public static List<Disagreement> verify(List<Section> sections, VmDescription description) {
        List<Disagreement> result = new ArrayList<>();
        for (Section section : sections) {
            problem(section, description)
                    .ifPresent(p -> result.add(new Disagreement(section.name(), section.instanceId(), p)));
        }
        for (Device device : description.devices()) {
            if (sections.stream()
                    .noneMatch(s -> s.name().equals(device.name()) && s.instanceId() == device.instanceId())) {
                result.add(new Disagreement(device.name(), device.instanceId(), "described but not found"));
            }
        }
        return result;
    }

    private static Optional<String> problem(Section section, VmDescription description) {
        Optional<Device> device = description.device(section.name(), section.instanceId());
        if (device.isEmpty()) {
            return Optional.of("found but not described");
        }
        try {
            int described = VmDescription.bodyLength(device.get(), section.body(), 0);
            return described == section.body().length
                    ? Optional.empty()
                    : Optional.of("%d bytes found, %d described".formatted(section.body().length, described));
        } catch (VmDescriptionException e) {
            return Optional.of("%d bytes found: %s".formatted(section.body().length, e.getMessage()));
        }
    }

    /**
     * Splits the bytes from the header of a device section to the byte that ends the section loop, which must be the
     * last one. Footers may be there or not.
     *
     * @throws ProtocolException if the envelope is wrong
     * @throws VmDescriptionException if a section is not described or does not fit its description
     */
    public static List<Section> split(byte[] run, VmDescription description)
            throws ProtocolException, VmDescriptionException {
        WireReader in = new WireReader(ByteBuffer.wrap(run), 0);
        List<Section> sections = new ArrayList<>();
        while (true) {
            long at = in.offset();
            int type = in.readU8("section.type");
            if (type == Elements.EOF) {
                if (in.remaining() > 0) {
                    throw new ProtocolException("section.type", at, "the end of the run", in.remaining() + " bytes");
                }
                return sections;
            }
            if (type != Elements.SECTION_FULL) {
                throw new ProtocolException("section.type", at, "a device section or the end", type);
            }
            sections.add(section(in, run, description));
        }
    }

    private static Section section(WireReader in, byte[] run, VmDescription description)
            throws ProtocolException, VmDescriptionException {
        int id = in.readInt("section.id");
        String name = in.readName("section.name");
        int instanceId = in.readInt("section.instance");
        int version = in.readInt("section.version");
        Device device = description
                .device(name, instanceId)
                .orElseThrow(
                        () -> new VmDescriptionException(name, "instance %d is not described".formatted(instanceId)));
        int length = VmDescription.bodyLength(device, run, (int) in.offset());
        byte[] body = in.readBytes("section.body", length);
        skipFooter(in, id);
        return new Section(id, name, instanceId, version, body);
    }

    private static void skipFooter(WireReader in, int id) throws ProtocolException {
        ByteBuffer bytes = in.bytes();
        if (!bytes.hasRemaining() || bytes.get(bytes.position()) != Elements.SECTION_FOOTER) {
            return;
        }
        in.readU8("section.footer");
        long at = in.offset();
        int footerId = in.readInt("section.footer.id");
        if (footerId != id) {
            throw new ProtocolException("section.footer.id", at, Integer.toString(id), footerId);
        }
    }
}
