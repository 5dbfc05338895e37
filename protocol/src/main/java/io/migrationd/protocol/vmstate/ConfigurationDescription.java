package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.WireWriter;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;

/**
 * The configuration section's object in a trailing description. Only the text is made here: the section itself has no
 * header and is not read by a description. Wire source: QEMU 10.0 migration/savevm.c, {@code vmstate_configuration}.
 */
public final class ConfigurationDescription {
    private static final int VERSION = 1;

    private static final VmStateDescription<Content> DESCRIPTION = VmStateDescription.<Content>named(
                    "configuration", VERSION)
            .fields(
                    Fields.u32("len", c -> c.machine.length(), (c, v) -> {}),
                    Fields.buffer(
                            "name",
                            Count.of(c -> c.machine.length(), Integer.MAX_VALUE),
                            c -> new byte[c.machine.length()],
                            (c, v) -> {}))
            .subsections(
                    VmStateDescription.<Content>named("configuration/target-page-bits", VERSION)
                            .needed(c -> c.pageBits.isPresent())
                            .fields(Fields.u32("target_page_bits", c -> c.pageBits.orElse(0), (c, v) -> {}))
                            .build(),
                    VmStateDescription.<Content>named("configuration/capabilities", VERSION)
                            .needed(c -> !c.capabilities.isEmpty())
                            .fields(
                                    Fields.u32("caps_count", c -> c.capabilities.size(), (c, v) -> {}),
                                    Fields.capabilities(
                                            "capabilities",
                                            Count.of(c -> c.capabilities.size(), Integer.MAX_VALUE),
                                            (c, i) -> c.capabilities.get(i),
                                            (c, i, v) -> {}))
                            .build(),
                    VmStateDescription.<Content>named("configuration/uuid", VERSION)
                            .needed(c -> c.uuid.isPresent())
                            .fields(Fields.array(
                                    ScalarType.UINT8,
                                    "uuid.data",
                                    Count.fixed(16),
                                    (c, i) -> uuidBytes(c.uuid)[i],
                                    (c, i, v) -> {}))
                            .build())
            .build();

    private ConfigurationDescription() {}

    private record Content(String machine, OptionalInt pageBits, List<String> capabilities, Optional<UUID> uuid) {}

    /** The object for a section with these contents; what is absent or empty has no subsection. */
    public static String json(String machine, OptionalInt pageBits, List<String> capabilities, Optional<UUID> uuid) {
        JsonText json = new JsonText();
        json.beginObject();
        try {
            VmStateCodec.save(
                    DESCRIPTION,
                    new Content(machine, pageBits, capabilities, uuid),
                    VERSION,
                    new VmStateWriter(new WireWriter(), json));
        } catch (VmStateException e) {
            throw new AssertionError("the description has no hook and counts what is there", e);
        }
        json.endObject();
        return json.toString();
    }

    private static byte[] uuidBytes(Optional<UUID> uuid) {
        ByteBuffer bytes = ByteBuffer.allocate(16);
        uuid.ifPresent(u -> bytes.putLong(u.getMostSignificantBits()).putLong(u.getLeastSignificantBits()));
        return bytes.array();
    }
}
