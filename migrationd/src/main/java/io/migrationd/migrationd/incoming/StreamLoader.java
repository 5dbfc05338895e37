package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.DeviceFormat;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.migrationd.state.SaveStateEntry;
import io.migrationd.migrationd.state.SaveStateRegistry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.ConfigurationCheck;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.LocalConfiguration;
import io.migrationd.protocol.stream.ReceivedConfiguration;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.stream.StreamLimits;
import io.migrationd.protocol.vmstate.GlobalState;
import io.migrationd.protocol.vmstate.OpaqueSectionReader;
import io.migrationd.protocol.vmstate.SectionSplitter.Section;
import io.migrationd.protocol.wire.ChunkSource;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReturnPathSender;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads one precopy stream into a guest: every check of the seed's loader, in its order. It holds device sections back
 * until the whole stream is there, so that a stream that fails leaves nothing half-made. One thread.
 */
final class StreamLoader {
    private static final Logger log = LoggerFactory.getLogger(StreamLoader.class);
    private static final int IMPLICIT_PAGE_BITS = 12;
    private static final String RAM_IDSTR = "ram";

    private final Guest guest;
    private final IncomingGuest incoming;
    private final Set<Capability> capabilities;
    private final ReturnPathSender returnPath;
    private final ReturnPathSender.Outbound outbound;
    private final OpaqueSectionReader opaque;
    private final SectionTable table = new SectionTable();
    private final List<Section> devices = new ArrayList<>();
    private boolean returnPathOpen;
    private volatile boolean promised;
    private @Nullable Boolean footers;
    private @Nullable RamReceiver ram;
    private @Nullable SaveStateRegistry<SectionLoader> registry;
    private String runState = "running";

    /** Who reads the body of a section that a header has named. */
    private sealed interface SectionLoader {
        record Iterative(RamReceiver handler) implements SectionLoader {}

        record Device(DeviceFormat format) implements SectionLoader {}

        /** globalstate: ours to understand; a parked guest keeps it as well, to send it on. */
        record RunStateRecord(boolean keep) implements SectionLoader {}
    }

    StreamLoader(
            Guest guest,
            IncomingGuest incoming,
            Set<Capability> capabilities,
            ReturnPathSender returnPath,
            ReturnPathSender.Outbound outbound,
            OpaqueSectionReader opaque) {
        this.guest = guest;
        this.incoming = incoming;
        this.capabilities = capabilities;
        this.returnPath = returnPath;
        this.outbound = outbound;
        this.opaque = opaque;
    }

    /** Whether the source has opened the return path: SHUT is expected then. */
    boolean isReturnPathOpen() {
        return returnPathOpen;
    }

    /**
     * Whether the source was told that it may give the guest away: from now on only its silence ends this. Any thread.
     */
    boolean hasPromised() {
        return promised;
    }

    /** The RAM as far as it came, for counters. */
    Optional<RamReceiver> ram() {
        return Optional.ofNullable(ram);
    }

    /** What {@link #load} has collected for {@link IncomingGuest#commit}. */
    record Loaded(List<DeviceSection> devices, IncomingState state) {}

    /** Reads the stream to its end. */
    Loaded load(StreamReader in) throws IOException {
        StreamHeader.read(in);
        ReceivedConfiguration received = readConfiguration(in);
        int pageBits = received.configuration().targetPageBits().orElse(IMPLICIT_PAGE_BITS);
        RamReceiver receiver = new RamReceiver(incoming, 1 << pageBits, capabilities.contains(Capability.XBZRLE));
        ram = receiver;
        registry = entries(receiver);
        long end = readSections(in);
        if (!receiver.hasBlocks()) {
            throw new ProtocolException("section.ram", end, "a ram section before the end", "none");
        }
        String description = readDescription(in);
        return new Loaded(
                incoming.devices().isPresent() ? known() : OpaqueDevices.settle(devices, description),
                new IncomingState(runState, received.configuration().uuid(), 1 << pageBits, description));
    }

    void close() {
        if (ram != null) {
            ram.close();
        }
    }

    private ReceivedConfiguration readConfiguration(StreamReader in) throws IOException {
        ReceivedConfiguration received = ConfigurationCodec.read(in);
        incoming.machineType(received.configuration().machineType(), received.machineTypeOffset());
        boolean takesAnyPageSize = guest.ram().isEmpty();
        int localBits = Integer.numberOfTrailingZeros(guest.targetPageSizeBytes());
        int bits = received.configuration().targetPageBits().orElse(IMPLICIT_PAGE_BITS);
        List<String> warnings = ConfigurationCheck.check(
                received,
                new LocalConfiguration(
                        // Checked by the guest just before: a parked guest takes any.
                        received.configuration().machineType(),
                        takesAnyPageSize ? bits : localBits,
                        IMPLICIT_PAGE_BITS,
                        capabilities.stream().map(Capability::qmpName).collect(Collectors.toSet()),
                        guest.uuid()));
        warnings.forEach(w -> log.atWarn()
                .addKeyValue("guest", guest.name())
                .addKeyValue("warning", w)
                .log("configuration not fully checked"));
        return received;
    }

    private SaveStateRegistry<SectionLoader> entries(RamReceiver receiver) {
        SaveStateRegistry<SectionLoader> known = new SaveStateRegistry<>();
        known.register(SaveStateEntry.of(
                RAM_IDSTR,
                0,
                RamFlags.SECTION_VERSION,
                RamFlags.SECTION_VERSION,
                new SectionLoader.Iterative(receiver)));
        Optional<List<DeviceFormat>> formats = incoming.devices();
        for (DeviceFormat format : formats.orElse(List.of())) {
            known.register(SaveStateEntry.of(
                    format.idstr(),
                    format.instanceId(),
                    format.version(),
                    format.minimumVersion(),
                    new SectionLoader.Device(format)));
        }
        if (known.find(GlobalState.SECTION, 0).isEmpty()) {
            known.register(SaveStateEntry.of(
                    GlobalState.SECTION,
                    0,
                    GlobalState.VERSION,
                    GlobalState.VERSION,
                    new SectionLoader.RunStateRecord(formats.isEmpty())));
        }
        return known;
    }

    /** A PONG makes the source give its copy up: without a process to take the guest none may be sent. */
    private void requireProcess() throws GuestException {
        if (guest.runState() == RunState.SHUTDOWN) {
            throw new GuestException("guest '%s': its process is gone".formatted(guest.name()));
        }
    }

    /** Reads elements up to the end mark; returns its offset. */
    private long readSections(StreamReader in) throws IOException {
        while (true) {
            StreamElement element = StreamElementCodec.read(in);
            requireProcess();
            switch (element) {
                case StreamElement.Start(long at, int id, String idstr, int instance, int version) ->
                    readNamed(in, at, id, idstr, instance, version, true);
                case StreamElement.Full(long at, int id, String idstr, int instance, int version) ->
                    readNamed(in, at, id, idstr, instance, version, false);
                case StreamElement.Part(long at, int id) -> readMore(in, at, id);
                case StreamElement.End(long at, int id) -> readMore(in, at, id);
                case StreamElement.CommandElement(long at, Command command) -> execute(command, at);
                case StreamElement.EndOfStream(long at) -> {
                    return at;
                }
            }
        }
    }

    private void readNamed(
            StreamReader in, long at, int id, String idstr, int instanceId, int version, boolean iterable)
            throws IOException {
        SaveStateRegistry<SectionLoader> known = Objects.requireNonNull(registry);
        Optional<SaveStateEntry<SectionLoader>> entry = known.find(idstr, instanceId);
        boolean takesAny = incoming.devices().isEmpty() && !iterable;
        if (entry.isEmpty() && !takesAny) {
            throw new ProtocolException(
                    "section '" + idstr + "'",
                    at,
                    "a section of this guest (" + names(known) + ")",
                    "an unknown one, instance " + Integer.toUnsignedString(instanceId));
        }
        if (entry.isPresent()) {
            checkVersion(entry.get(), version, at);
        }
        table.introduce(at, id, new SectionTable.Introduced(idstr, instanceId, version));
        SectionLoader loader = entry.map(SaveStateEntry::handler).orElse(null);
        switch (loader) {
            case null -> keep(id, idstr, instanceId, version, opaque.readBody(in, id, table::knows));
            case SectionLoader.Iterative(RamReceiver handler) -> handler.load(in);
            case SectionLoader.Device(DeviceFormat format) ->
                keep(id, format.idstr(), format.instanceId(), version, format.readBody(in, version));
            case SectionLoader.RunStateRecord(boolean keep) -> {
                byte[] body = in.readBytes("section 'globalstate'", GlobalState.BODY_BYTES, GlobalState.BODY_BYTES);
                runState = GlobalState.decode(
                                new StreamReader(ChunkSource.of(ByteBuffer.wrap(body)), in.offset() - body.length),
                                version)
                        .runState();
                if (keep) {
                    keep(id, idstr, instanceId, version, body);
                }
            }
        }
        readFooter(in, id, idstr);
    }

    private void readMore(StreamReader in, long at, int id) throws IOException {
        SectionTable.Introduced section = table.require(at, id);
        SaveStateRegistry<SectionLoader> known = Objects.requireNonNull(registry);
        SectionLoader loader = known.find(section.idstr(), section.instanceId())
                .map(SaveStateEntry::handler)
                .orElse(null);
        if (!(loader instanceof SectionLoader.Iterative(RamReceiver handler))) {
            throw new ProtocolException(
                    "section '" + section.idstr() + "'", at, "a part of an iterable section", "a device section's id");
        }
        handler.load(in);
        readFooter(in, id, section.idstr());
    }

    /** A section that comes twice is loaded twice by QEMU: the later one counts. */
    private void keep(int id, String idstr, int instanceId, int version, byte[] body) {
        devices.removeIf(d -> d.name().equals(idstr) && d.instanceId() == instanceId);
        devices.add(new Section(id, idstr, instanceId, version, body));
    }

    private List<DeviceSection> known() {
        return devices.stream()
                .map(d -> new DeviceSection(d.name(), d.instanceId(), d.version(), d.body(), null))
                .toList();
    }

    private static void checkVersion(SaveStateEntry<SectionLoader> entry, int version, long at)
            throws ProtocolException {
        if (Integer.compareUnsigned(version, entry.version()) > 0) {
            throw new ProtocolException(
                    "section '" + entry.idstr() + "' version",
                    at,
                    "at most " + entry.version(),
                    Integer.toUnsignedString(version) + " (too new)");
        }
        if (version < entry.minimumVersion()) {
            throw new ProtocolException(
                    "section '" + entry.idstr() + "' version",
                    at,
                    "at least " + entry.minimumVersion(),
                    version + " (too old)");
        }
    }

    private static String names(SaveStateRegistry<SectionLoader> known) {
        return known.entries().stream().map(SaveStateEntry::idstr).limit(16).collect(Collectors.joining(", "));
    }

    /** Nothing announces footers: the first section's shows whether the source writes them. */
    private void readFooter(StreamReader in, int id, String idstr) throws IOException {
        if (footers == null) {
            footers = SectionFooter.isNext(in);
            if (!footers) {
                log.atInfo().addKeyValue("guest", guest.name()).log("the stream has no section footers");
            }
        }
        if (footers) {
            SectionFooter.read(in, id, idstr);
        }
    }

    private void execute(Command command, long at) throws IOException {
        switch (command) {
            case Command.OpenReturnPath() -> openReturnPath();
            case Command.Ping(int value) -> {
                if (!returnPathOpen) {
                    throw new ProtocolException(
                            "command PING", at, "OPEN_RETURN_PATH before", "PING " + value + " without return path");
                }
                if (value == StreamPings.LOADED) {
                    // A daemon asks behind its last device, and gives the guest away on our answer.
                    incoming.prepare(known());
                    promised = true;
                }
                returnPath.sendPong(value);
            }
            case Command.SwitchoverStart() ->
                log.atDebug().addKeyValue("guest", guest.name()).log("the source has stopped its guest");
            case Command.PostcopyAdvise advise -> throw refused("POSTCOPY_ADVISE", at, "postcopy-ram is off here");
            case Command.PostcopyListen() -> throw refused("POSTCOPY_LISTEN", at, "no POSTCOPY_ADVISE came before");
            case Command.PostcopyRun() -> throw refused("POSTCOPY_RUN", at, "no POSTCOPY_LISTEN came before");
            case Command.PostcopyRamDiscard discard ->
                throw refused("POSTCOPY_RAM_DISCARD", at, "no POSTCOPY_ADVISE came before");
            case Command.Packaged packaged -> throw refused("PACKAGED", at, "postcopy-ram is off here");
            case Command.EnableColo() -> throw refused("ENABLE_COLO", at, "x-colo is off here");
            case Command.PostcopyResume() -> ignored("POSTCOPY_RESUME");
            case Command.RecvBitmap(String block) -> {
                if (ram == null || !ram.isKnown(block)) {
                    throw new ProtocolException("command RECV_BITMAP", at, "an announced block", "'" + block + "'");
                }
                ignored("RECV_BITMAP");
            }
        }
    }

    private void openReturnPath() throws IOException {
        if (returnPathOpen) {
            ignored("OPEN_RETURN_PATH");
            return;
        }
        returnPath.attach(outbound);
        returnPathOpen = true;
        if (capabilities.contains(Capability.SWITCHOVER_ACK) && (ram == null || !ram.switchoverAckNeeded())) {
            returnPath.sendSwitchoverAck();
        }
    }

    private void ignored(String command) {
        log.atWarn()
                .addKeyValue("guest", guest.name())
                .addKeyValue("command", command)
                .log("command means nothing in this state; ignored");
    }

    private static ProtocolException refused(String command, long at, String why) {
        return new ProtocolException("command " + command, at, "a precopy stream (" + why + ")", command);
    }

    private String readDescription(StreamReader in) {
        return switch (DescriptionElement.read(in, StreamLimits.MAX_DESCRIPTION)) {
            case DescriptionElement.Present(long at, String json) -> json;
            case DescriptionElement.Absent(long at, String reason) -> {
                log.atInfo()
                        .addKeyValue("guest", guest.name())
                        .addKeyValue("offset", at)
                        .addKeyValue("reason", reason)
                        .log("no description behind the stream");
                yield "";
            }
        };
    }
}
