package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.migrationd.state.SavingHandler;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.Command.PageSizes;
import io.migrationd.protocol.stream.Configuration;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.vmstate.GlobalState;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;

/**
 * Writes the elements of one precopy stream in their order: head, RAM's START, PARTs, END, devices, end. When each is
 * due is {@link OutgoingMigration}'s to decide. One thread.
 */
final class PrecopyStream {
    /** RAM is the only section of many parts; devices follow it. */
    static final int RAM_SECTION_ID = 1;

    private static final String RAM_IDSTR = "ram";
    private static final int COMMON_PAGE_BITS = 12;

    private final Guest guest;
    private final SavingHandler ram;
    private final StreamOutput out;
    private final Optional<OriginalStream> original;
    private final int ramSectionId;
    private String description = "";

    /**
     * A stream to {@code out}.
     *
     * @param original whose head and devices are said again in place of our own
     */
    PrecopyStream(Guest guest, SavingHandler ram, StreamOutput out, Optional<OriginalStream> original) {
        this.guest = guest;
        this.ram = ram;
        this.out = out;
        this.original = original;
        this.ramSectionId = original.map(OriginalStream::ramSectionId).orElse(RAM_SECTION_ID);
    }

    /** Bytes written so far. */
    long position() {
        return out.position();
    }

    /**
     * Header, configuration and first commands.
     *
     * @param advice page sizes of a guest that may be sent by postcopy
     */
    void head(boolean withReturnPath, Optional<PageSizes> advice, Optional<UUID> uuid) throws IOException {
        WireWriter head = new WireWriter();
        if (original.isPresent()) {
            head.writeBytes(original.get().head());
        } else {
            StreamHeader.write(head);
            String machineType = guest.machineType()
                    .orElseThrow(() -> new IOException("guest '" + guest.name() + "' holds nothing to migrate yet"));
            ConfigurationCodec.write(new Configuration(machineType, targetPageBits(), List.of(), uuid), head);
        }
        if (withReturnPath) {
            StreamElementCodec.writeCommand(new Command.OpenReturnPath(), head);
            StreamElementCodec.writeCommand(new Command.Ping(StreamPings.START), head);
        }
        if (advice.isPresent()) {
            StreamElementCodec.writeCommand(new Command.PostcopyAdvise(advice), head);
        }
        out.write(head);
    }

    private OptionalInt targetPageBits() {
        int bits = Integer.numberOfTrailingZeros(guest.targetPageSizeBytes());
        return bits == COMMON_PAGE_BITS ? OptionalInt.empty() : OptionalInt.of(bits);
    }

    void ramStart() throws IOException {
        WireWriter start = new WireWriter();
        StreamElementCodec.writeStart(ramSectionId, RAM_IDSTR, 0, RamFlags.SECTION_VERSION, start);
        out.write(start);
        ram.setup(out);
        footer(ramSectionId);
        out.flush();
    }

    void ramPart(SavingHandler.IterationBudget budget) throws IOException {
        WireWriter head = new WireWriter();
        StreamElementCodec.writePart(ramSectionId, head);
        out.write(head);
        ram.iterate(out, budget);
        footer(ramSectionId);
        out.flush();
    }

    /** The guest is stopped: all pages that are left. */
    void ramEnd() throws IOException {
        WireWriter head = new WireWriter();
        StreamElementCodec.writeEnd(ramSectionId, head);
        out.write(head);
        ram.completePrecopy(out);
        footer(ramSectionId);
    }

    /** The guest is stopped: its devices. */
    void devices() throws IOException {
        if (original.isPresent()) {
            out.write(original.get().devices(), original.get().devices().length);
            return;
        }
        List<DeviceSection> devices = devicesOf(guest);
        int id = RAM_SECTION_ID;
        for (DeviceSection device : devices) {
            WireWriter section = new WireWriter();
            writeDevice(++id, device, section);
            out.write(section);
        }
        description = Descriptions.of(guest.targetPageSizeBytes(), devices);
    }

    /** The devices of the stopped guest, and its run state unless that is among them already. */
    static List<DeviceSection> devicesOf(Guest guest) throws IOException {
        List<DeviceSection> devices = new ArrayList<>(guest.saveDevices());
        if (devices.stream().noneMatch(d -> d.idstr().equals(GlobalState.SECTION))) {
            devices.add(GlobalStateSection.of(guest.stateToAnnounce()));
        }
        return devices;
    }

    /** A FULL section. */
    static void writeDevice(int id, DeviceSection device, WireWriter out) {
        StreamElementCodec.writeFull(id, device.idstr(), device.instanceId(), device.version(), out);
        out.writeBytes(device.body());
        SectionFooter.write(id, out);
    }

    /** Asks for a word when all so far is loaded. */
    void pingLoaded() throws IOException {
        WireWriter ping = new WireWriter();
        StreamElementCodec.writeCommand(new Command.Ping(StreamPings.LOADED), ping);
        out.write(ping);
        out.flush();
    }

    /** Waits until the socket has taken everything. */
    void drain() throws IOException {
        out.drain();
    }

    /** The byte that lets the destination start the guest, and the description. Drained on return. */
    void end() throws IOException {
        WireWriter tail = new WireWriter();
        StreamElementCodec.writeEndOfStream(tail);
        DescriptionElement.write(description, tail);
        out.write(tail);
        out.drain();
    }

    private void footer(int id) throws IOException {
        WireWriter footer = new WireWriter();
        SectionFooter.write(id, footer);
        out.write(footer);
    }
}
