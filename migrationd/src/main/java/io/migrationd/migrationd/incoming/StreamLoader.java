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
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.Command.PageSizes;
import io.migrationd.protocol.stream.ConfigurationCheck;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.IncomingPostcopyState;
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
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Reads one stream into a guest, up to its end or up to the RUN of a postcopy package: every check of the seed's
 * loader, in its order. It holds device sections back until the whole stream or package is there, so that what fails
 * leaves nothing half-made. One thread.
 */
final class StreamLoader {
    private static final Logger log = LoggerFactory.getLogger(StreamLoader.class);
    private static final int IMPLICIT_PAGE_BITS = 12;
    private static final String RAM_IDSTR = "ram";
    private static final long BASE_PAGE_BYTES = 4096;

    private final Guest guest;
    private final IncomingGuest incoming;
    private final Set<Capability> capabilities;
    private final ReturnPathSender returnPath;
    private final ReturnPathSender.Outbound outbound;
    private final OpaqueSectionReader opaque;
    private final SectionTable table = new SectionTable();
    private final List<Section> devices = new ArrayList<>();
    private final PostcopyHooks postcopyHooks;
    private boolean returnPathOpen;
    private IncomingPostcopyState postcopy = IncomingPostcopyState.NONE;
    private IncomingState state = new IncomingState("running", Optional.empty(), 1 << IMPLICIT_PAGE_BITS, "");
    /** The connection's reader while a package is read from memory; it is the listen thread's from LISTEN on. */
    private @Nullable StreamReader outer;

    private volatile boolean recorded;
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

    /** What happens around the stream when it goes over to postcopy. All calls come from the loading thread. */
    interface PostcopyHooks {
        /** The discards are done. Returns when a restarted daemon would know of this migration. Idempotent. */
        void discarded() throws IOException;

        /** LISTEN: {@code main} is read by another thread from now on. */
        void listen(StreamReader main, List<IncomingBlock> blocks) throws IOException;

        /** RUN: on return the guest runs, if it did before. */
        void run(List<DeviceSection> devices, IncomingState state) throws IOException;
    }

    StreamLoader(
            Guest guest,
            IncomingGuest incoming,
            Set<Capability> capabilities,
            ReturnPathSender returnPath,
            ReturnPathSender.Outbound outbound,
            OpaqueSectionReader opaque,
            PostcopyHooks postcopyHooks) {
        this.postcopyHooks = postcopyHooks;
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

    /** Whether the source may have given the guest away for a package: it must be told if that came to nothing. */
    boolean isPostcopyRecorded() {
        return recorded;
    }

    /** Whether the guest may be asked to run before all of its RAM is here: nothing of it is thrown away any more. */
    boolean isPostcopy() {
        return postcopy == IncomingPostcopyState.LISTENING || postcopy == IncomingPostcopyState.RUNNING;
    }

    /** What the listen thread needs to go on with the sections. */
    SectionTable sections() {
        return table;
    }

    /** Whether sections have footers; empty before the first one. */
    Optional<Boolean> hasFooters() {
        return Optional.ofNullable(footers);
    }

    /** Reads the stream to its end; empty if it went over to postcopy and the guest runs. */
    Optional<Loaded> load(StreamReader in) throws IOException {
        StreamHeader.read(in);
        ReceivedConfiguration received = readConfiguration(in);
        int pageBits = received.configuration().targetPageBits().orElse(IMPLICIT_PAGE_BITS);
        RamReceiver receiver = new RamReceiver(incoming, 1 << pageBits, capabilities.contains(Capability.XBZRLE));
        ram = receiver;
        registry = entries(receiver);
        state = new IncomingState(runState, received.configuration().uuid(), 1 << pageBits, "");
        OptionalLong end = readSections(in);
        if (end.isEmpty()) {
            return Optional.empty();
        }
        if (!receiver.hasBlocks()) {
            throw new ProtocolException("section.ram", end.getAsLong(), "a ram section before the end", "none");
        }
        String description = readDescription(in);
        return Optional.of(new Loaded(
                incoming.devices().isPresent() ? known() : OpaqueDevices.settle(devices, description),
                new IncomingState(runState, state.uuid(), state.targetPageSizeBytes(), description)));
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

    /** Reads elements up to the end mark and returns its offset; empty if RUN came before. */
    private OptionalLong readSections(StreamReader in) throws IOException {
        while (postcopy != IncomingPostcopyState.RUNNING) {
            StreamElement element = StreamElementCodec.read(in);
            requireProcess();
            switch (element) {
                case StreamElement.Start(long at, int id, String idstr, int instance, int version) ->
                    readNamed(in, at, id, idstr, instance, version, true);
                case StreamElement.Full(long at, int id, String idstr, int instance, int version) ->
                    readNamed(in, at, id, idstr, instance, version, false);
                case StreamElement.Part(long at, int id) -> readMore(in, at, id);
                case StreamElement.End(long at, int id) -> readMore(in, at, id);
                case StreamElement.CommandElement(long at, Command command) -> execute(in, command, at);
                case StreamElement.EndOfStream(long at) -> {
                    return OptionalLong.of(at);
                }
            }
        }
        return OptionalLong.empty();
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

    private void execute(StreamReader in, Command command, long at) throws IOException {
        switch (command) {
            case Command.OpenReturnPath() -> openReturnPath();
            case Command.Ping(int value) -> {
                if (!returnPathOpen) {
                    throw new ProtocolException(
                            "command PING", at, "OPEN_RETURN_PATH before", "PING " + value + " without return path");
                }
                pong(value);
            }
            case Command.SwitchoverStart() ->
                log.atDebug().addKeyValue("guest", guest.name()).log("the source has stopped its guest");
            case Command.PostcopyAdvise(Optional<PageSizes> sizes) -> advise(sizes, at);
            case Command.PostcopyRamDiscard(String block, List<Command.Range> ranges) -> discard(block, ranges, at);
            case Command.Packaged(long sizeBytes) -> readPackage(in, sizeBytes, at);
            case Command.PostcopyListen() -> listen(at);
            case Command.PostcopyRun() -> run(at);
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

    private void pong(int value) throws IOException {
        switch (value) {
            // A daemon asks behind its last device, and gives the guest away on our answer.
            case StreamPings.LOADED -> {
                incoming.prepare(known());
                promised = true;
            }
            case StreamPings.DISCARDED -> {
                if (postcopy != IncomingPostcopyState.NONE) {
                    discarded();
                }
            }
            case StreamPings.PACKAGE_LOADED -> incoming.prepare(known());
            default -> {
                // Everything before it was applied when it was read.
            }
        }
        try {
            returnPath.sendPong(value);
        } catch (IOException e) {
            if (!isPostcopy()) {
                throw e;
            }
            // The package is whole: the guest is ours to run, and the source asks again on a new connection.
            log.atWarn().addKeyValue("guest", guest.name()).setCause(e).log("PONG not sent");
        }
    }

    private void discarded() throws IOException {
        postcopyHooks.discarded();
        recorded = true;
    }

    private void advise(Optional<PageSizes> sizes, long at) throws IOException {
        if (!capabilities.contains(Capability.POSTCOPY_RAM)) {
            throw refused("POSTCOPY_ADVISE", at, "postcopy-ram is off here");
        }
        PageSizes received = sizes.orElseThrow(() -> new ProtocolException(
                "command.postcopy-advise", at, "page sizes, postcopy-ram is on here", "a length of 0"));
        postcopy = postcopy.nextOnCommand(IncomingPostcopyState.Event.ADVISE, at);
        if (received.targetPageSize() != state.targetPageSizeBytes()) {
            throw new ProtocolException(
                    "command.postcopy-advise.target-page-size",
                    at,
                    Integer.toString(state.targetPageSizeBytes()),
                    received.targetPageSize());
        }
        // A parked guest has no blocks yet and takes the source's sizes.
        long local = guest.ram().stream().mapToLong(RamBlock::pageSizeBytes).reduce(BASE_PAGE_BYTES, (a, b) -> a | b);
        if (!guest.ram().isEmpty() && (received.hostPageSizeSummary() | BASE_PAGE_BYTES) != local) {
            throw new ProtocolException(
                    "command.postcopy-advise.host-page-sizes",
                    at,
                    "0x" + Long.toHexString(local),
                    "0x" + Long.toHexString(received.hostPageSizeSummary()));
        }
        incoming.advisePostcopy();
        Objects.requireNonNull(ram).advise(received.hostPageSizeSummary(), at);
    }

    private void discard(String block, List<Command.Range> ranges, long at) throws IOException {
        postcopy = postcopy.nextOnCommand(IncomingPostcopyState.Event.DISCARD, at);
        Objects.requireNonNull(ram).discard(block, ranges, at);
    }

    /** The package is read whole before the first byte of it counts: a cut in it leaves the guest at the source. */
    private void readPackage(StreamReader in, long sizeBytes, long at) throws IOException {
        boolean expected = postcopy == IncomingPostcopyState.ADVISED || postcopy == IncomingPostcopyState.DISCARDING;
        if (outer != null || !expected) {
            throw refused("PACKAGED", at, "no POSTCOPY_ADVISE came before");
        }
        discarded();
        long start = in.offset();
        byte[] bytes = in.readBytes("command.packaged", sizeBytes, StreamLimits.MAX_PACKAGE);
        outer = in;
        OptionalLong end = readSections(new StreamReader(ChunkSource.of(ByteBuffer.wrap(bytes)), start));
        if (end.isPresent()) {
            throw new ProtocolException("package", end.getAsLong(), "POSTCOPY_RUN at its end", "the end of a stream");
        }
    }

    private void listen(long at) throws IOException {
        StreamReader main = outer;
        if (main == null) {
            throw refused("POSTCOPY_LISTEN", at, "it belongs into a package");
        }
        IncomingPostcopyState next = postcopy.nextOnCommand(IncomingPostcopyState.Event.LISTEN, at);
        RamReceiver receiver = Objects.requireNonNull(ram);
        if (!receiver.hasBlocks()) {
            throw new ProtocolException("section.ram", at, "a ram section before LISTEN", "none");
        }
        postcopyHooks.listen(main, receiver.incomingBlocks());
        postcopy = next;
    }

    private void run(long at) throws IOException {
        IncomingPostcopyState next = postcopy.nextOnCommand(IncomingPostcopyState.Event.RUN, at);
        List<DeviceSection> settled = incoming.devices().isPresent() ? known() : OpaqueDevices.settle(devices, "");
        postcopyHooks.run(
                settled, new IncomingState(runState, state.uuid(), state.targetPageSizeBytes(), state.vmdescription()));
        postcopy = next;
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
        return new ProtocolException("command " + command, at, "a command that is legal here (" + why + ")", command);
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
