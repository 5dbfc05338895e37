package io.migrationd.migrationd.guest.process;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.guest.DeviceFormat;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.protocol.vmstate.DeviceDescriptionJson;
import io.migrationd.protocol.vmstate.DeviceDescriptionJson.Device;
import io.migrationd.protocol.vmstate.DynamicState;
import io.migrationd.protocol.vmstate.VmDescriptionWriter;
import io.migrationd.protocol.vmstate.VmStateCodec;
import io.migrationd.protocol.vmstate.VmStateDescription;
import io.migrationd.protocol.vmstate.VmStateException;
import io.migrationd.protocol.vmstate.VmStateWalker;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** The device sections that a VMM has declared in its hello: what it may save and what it can load. */
final class DeviceLayouts {
    /** Sections that the engine itself sends. */
    private static final Set<String> RESERVED = Set.of("ram", "globalstate", "configuration");

    private final List<Layout> layouts;

    private DeviceLayouts(List<Layout> layouts) {
        this.layouts = layouts;
    }

    private record Layout(String idstr, int instanceId, VmStateDescription<DynamicState> description)
            implements DeviceFormat {
        @Override
        public int version() {
            return description.version();
        }

        @Override
        public int minimumVersion() {
            return description.minimumVersion();
        }

        @Override
        public byte[] readBody(StreamReader in, int version) throws IOException {
            return VmStateWalker.readBody(description, in, version);
        }

        boolean isOf(DeviceSection section) {
            return idstr.equals(section.idstr()) && instanceId == section.instanceId();
        }
    }

    /**
     * The layouts of a hello.
     *
     * @param offset of the hello in the connection
     */
    static DeviceLayouts of(List<JsonNode> devices, long offset) throws ProtocolException {
        List<Layout> layouts = new ArrayList<>();
        Set<String> seen = new HashSet<>();
        for (JsonNode node : devices) {
            String field = "message.devices[%d]".formatted(layouts.size());
            Layout layout = layout(node, field, offset);
            if (RESERVED.contains(layout.idstr())) {
                throw new ProtocolException(
                        field + ".name",
                        offset,
                        "none of " + RESERVED.stream().sorted().toList(),
                        layout.idstr());
            }
            String key = "%s instance %d".formatted(layout.idstr(), layout.instanceId());
            if (!seen.add(key)) {
                throw new ProtocolException(field, offset, "a name and instance of its own", key);
            }
            layouts.add(layout);
        }
        return new DeviceLayouts(List.copyOf(layouts));
    }

    private static Layout layout(JsonNode node, String field, long offset) throws ProtocolException {
        try {
            Device device = DeviceDescriptionJson.parse(node.toString());
            return new Layout(device.name(), device.instanceId(), device.description());
        } catch (IllegalArgumentException e) {
            throw new ProtocolException(field, offset, "a device description", String.valueOf(e.getMessage()), e);
        }
    }

    List<DeviceFormat> formats() {
        return List.copyOf(layouts);
    }

    /**
     * Device state as the VMM declared it: known sections, each once, versions that it can load, bodies that fit.
     *
     * @return the same sections, those of the newest version with their descriptions
     * @throws GuestException if something does not fit
     */
    List<DeviceSection> check(String guest, List<DeviceSection> sections) throws GuestException {
        List<DeviceSection> described = new ArrayList<>();
        Set<Layout> seen = new HashSet<>();
        for (DeviceSection section : sections) {
            Layout layout = layouts.stream()
                    .filter(l -> l.isOf(section))
                    .findFirst()
                    .orElseThrow(() -> failure(guest, section, "was not declared"));
            if (!seen.add(layout)) {
                throw failure(guest, section, "came twice");
            }
            if (section.version() < layout.minimumVersion() || section.version() > layout.version()) {
                throw failure(
                        guest,
                        section,
                        "has version %d, declared are %d to %d"
                                .formatted(section.version(), layout.minimumVersion(), layout.version()));
            }
            described.add(describe(guest, section, layout));
        }
        return List.copyOf(described);
    }

    private static DeviceSection describe(String guest, DeviceSection section, Layout layout) throws GuestException {
        StreamReader in = StreamReader.of(section.body());
        DynamicState state = new DynamicState();
        try {
            VmStateCodec.load(layout.description(), state, in, section.version());
            if (!in.atEnd()) {
                throw failure(
                        guest, section, "has %d bytes, its layout %d".formatted(section.body().length, in.offset()));
            }
            return new DeviceSection(
                    section.idstr(),
                    section.instanceId(),
                    section.version(),
                    section.body(),
                    description(section, layout, state));
        } catch (GuestException e) {
            throw e;
        } catch (IOException | VmStateException e) {
            throw new GuestException(
                    "guest %s: the body of section %s instance %d does not fit its layout"
                            .formatted(guest, section.idstr(), Integer.toUnsignedLong(section.instanceId())),
                    e);
        }
    }

    /** The layout of an older version is not described: the description is of what we would save. */
    private static @Nullable String description(DeviceSection section, Layout layout, DynamicState state)
            throws VmStateException {
        if (section.version() != layout.version()) {
            return null;
        }
        return VmDescriptionWriter.save(layout.idstr(), layout.instanceId(), layout.description(), state)
                .json();
    }

    private static GuestException failure(String guest, DeviceSection section, String problem) {
        return new GuestException("guest %s: section %s instance %d %s"
                .formatted(guest, section.idstr(), Integer.toUnsignedLong(section.instanceId()), problem));
    }
}
