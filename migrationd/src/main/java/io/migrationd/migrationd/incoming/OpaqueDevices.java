package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.vmstate.SectionSplitter;
import io.migrationd.protocol.vmstate.SectionSplitter.Disagreement;
import io.migrationd.protocol.vmstate.SectionSplitter.Section;
import io.migrationd.protocol.vmstate.VmDescription;
import io.migrationd.protocol.vmstate.VmDescriptionException;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.WireWriter;
import java.util.List;
import java.util.Optional;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Device sections of unknown layout were cut where their footers seemed to be. The description behind the stream, when
 * there is one, says where they really end; it wins.
 */
final class OpaqueDevices {
    private static final Logger log = LoggerFactory.getLogger(OpaqueDevices.class);

    private OpaqueDevices() {}

    /** {@code description} is the JSON text, empty if none came. */
    static List<DeviceSection> settle(List<Section> cut, String description) {
        Optional<VmDescription> parsed = parse(description);
        if (parsed.isEmpty()) {
            return describe(cut, Optional.empty());
        }
        List<Disagreement> wrong = SectionSplitter.verify(cut, parsed.get());
        if (wrong.isEmpty()) {
            return describe(cut, parsed);
        }
        log.atWarn().addKeyValue("disagreements", wrong).log("sections were cut otherwise than they are described");
        try {
            return describe(SectionSplitter.split(glue(cut), parsed.get()), parsed);
        } catch (ProtocolException | VmDescriptionException e) {
            log.atWarn().setCause(e).log("the description fits no better; the sections stay as they were cut");
            return describe(cut, Optional.empty());
        }
    }

    private static Optional<VmDescription> parse(String description) {
        if (description.isEmpty()) {
            return Optional.empty();
        }
        try {
            return Optional.of(VmDescription.parse(description));
        } catch (VmDescriptionException e) {
            log.atWarn().setCause(e).log("unreadable description; the sections stay as they were cut");
            return Optional.empty();
        }
    }

    /** The bytes as they came, headers and footers included. */
    private static byte[] glue(List<Section> sections) {
        WireWriter run = new WireWriter();
        for (Section section : sections) {
            StreamElementCodec.writeFull(section.id(), section.name(), section.instanceId(), section.version(), run);
            run.writeBytes(section.body());
            SectionFooter.write(section.id(), run);
        }
        StreamElementCodec.writeEndOfStream(run);
        return run.toByteArray();
    }

    private static List<DeviceSection> describe(List<Section> sections, Optional<VmDescription> description) {
        return sections.stream()
                .map(s -> new DeviceSection(
                        s.name(),
                        s.instanceId(),
                        s.version(),
                        s.body(),
                        description
                                .flatMap(d -> d.device(s.name(), s.instanceId()))
                                .map(VmDescription.Device::json)
                                .orElse(null)))
                .toList();
    }
}
