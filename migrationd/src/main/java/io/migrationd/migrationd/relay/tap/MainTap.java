package io.migrationd.migrationd.relay.tap;

import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.Command.PageSizes;
import io.migrationd.protocol.stream.Configuration;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElement.CommandElement;
import io.migrationd.protocol.stream.StreamElement.Full;
import io.migrationd.protocol.stream.StreamElement.Start;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.stream.StreamLimits;
import io.migrationd.protocol.vmstate.OpaqueSectionReader;
import io.migrationd.protocol.vmstate.SectionEnd;
import io.migrationd.protocol.wire.ChunkSource;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * Watches the forward direction of a main channel: a first connection, which starts with the header, or one that
 * recovers a postcopy migration, which starts with a command.
 *
 * <p>Only bodies of {@code ram} say where they end. Any other section's end is found by its footer and what follows it
 * ({@link SectionEnd}). A wrong guess shows at the next element: within the package, whose length is known, the rest of
 * it is passed over ({@link #packageTrouble}); elsewhere the tap is lost, as it is without footers, with mapped-ram (a
 * format for files) and behind the end of a COLO stream.
 */
public final class MainTap extends PushParser {
    private static final int DEFAULT_PAGE_SIZE = 4096;
    private static final int MAX_SECTIONS = 1 << 16;
    private static final int SECTION_HEAD = 1 + Integer.BYTES;

    private enum State {
        FIRST,
        CONFIGURATION,
        LOOP,
        RAM,
        OPAQUE,
        FOOTER,
        TAIL,
        DESCRIPTION,
        PACKAGE_REST
    }

    private enum Footers {
        UNKNOWN,
        ON,
        OFF
    }

    /** Thrown where a codec wants more than there is. */
    private static final class NeedMore extends IOException {
        @Override
        public synchronized Throwable fillInStackTrace() {
            return this;
        }
    }

    private final TapEvents events;
    private final StreamKeeper keeper;
    private final Marks marks;
    private final PassCounter passes;
    private final RamRecords ram;
    private final Map<Integer, String> sections = new HashMap<>();
    private State state = State.FIRST;
    private Footers footers = Footers.UNKNOWN;
    private Optional<Configuration> configuration = Optional.empty();
    private boolean resumed;
    private boolean colo;
    private boolean postcopy;
    private OptionalInt ramSectionId = OptionalInt.empty();
    private int sectionId;
    private long opaqueBytes;
    private boolean inPackage;
    private boolean packagePending;
    private long packageStart;
    private long packageEnd;
    private Optional<String> packageTrouble = Optional.empty();
    private PageCounts precopyPages = PageCounts.NONE;
    private final long[] sectionCounts = new long[StreamElementCodec.COMMAND];

    /** A tap that keeps what a rescue needs and tells {@code events} what it finds. */
    public MainTap(StreamKeeper keeper, TapEvents events) {
        this.keeper = keeper;
        this.events = events;
        this.marks = new Marks(events);
        this.passes = new PassCounter(events);
        this.ram = new RamRecords(DEFAULT_PAGE_SIZE, passes);
        keeper.beginPrologue();
    }

    /** A tap nobody listens to. */
    public MainTap() {
        this(new StreamKeeper(), TapEvents.NONE);
    }

    /**
     * A tap for the connection that recovers a migration, which repeats nothing: page size, blocks and section ids are
     * those of {@code before}, the tap of the connection that broke.
     */
    public static MainTap after(MainTap before, TapEvents events) {
        MainTap tap = new MainTap(new StreamKeeper(), events);
        tap.ram.inherit(before.ram);
        tap.sections.putAll(before.sections);
        tap.ramSectionId = before.ramSectionId;
        tap.footers = before.footers;
        return tap;
    }

    @Override
    int step(ByteBuffer in, int at, int limit) throws ProtocolException {
        int bounded = inPackage ? (int) Math.min(limit, at + packageEnd - offset()) : limit;
        try {
            int result = switch (state) {
                case FIRST -> first(in, at, bounded);
                case CONFIGURATION -> configuration(in, at, bounded);
                case LOOP -> element(in, at, bounded);
                case RAM -> ram(in, at, bounded);
                case OPAQUE -> opaque(in, at, bounded);
                case FOOTER -> footer(in, at, bounded);
                case TAIL -> tail(in, at, bounded);
                case DESCRIPTION, PACKAGE_REST -> throw new IllegalStateException("nothing to parse in " + state);
            };
            if (inPackage && (result < 0 ? ~result : result + skipLeft()) > packageEnd - offset()) {
                return abandonPackage("an element reaches beyond the package");
            }
            return result;
        } catch (ProtocolException e) {
            if (inPackage) {
                return abandonPackage(String.valueOf(e.getMessage()));
            }
            throw e;
        }
    }

    @Override
    void passed(ByteBuffer in, int at, int length) {
        if (keeper.isOpen()) {
            keeper.add(in, at, length);
        }
        if (skipLeft() > 0) {
            return;
        }
        if (inPackage && offset() == packageEnd && (state == State.LOOP || state == State.PACKAGE_REST)) {
            inPackage = false;
            state = State.LOOP;
            keeper.pause();
            marks.set(Mark.PACKAGE_END, offset(), 0);
        } else if (packagePending) {
            packagePending = false;
            inPackage = true;
            keeper.beginPackage(packageEnd - packageStart);
        } else if (state == State.DESCRIPTION) {
            marks.set(Mark.DESCRIPTION_END, offset(), 0);
            end();
            state = State.TAIL;
        } else if (state == State.LOOP && !inPackage && keeper.isOpen()) {
            keeper.pause();
        }
    }

    @Override
    void finished() {
        if (state == State.TAIL) {
            end();
        }
    }

    @Override
    void lost(long offset, String reason) {
        keeper.abandon(reason);
        events.lost(offset, reason);
    }

    private int abandonPackage(String reason) {
        packageTrouble = Optional.of("at offset %d: %s".formatted(offset(), reason));
        countUnparsed(packageEnd - offset());
        skip(packageEnd - offset());
        state = State.PACKAGE_REST;
        return 0;
    }

    private int first(ByteBuffer in, int at, int limit) throws ProtocolException {
        int type = Byte.toUnsignedInt(in.get(at));
        if (offset() == 0 && type != StreamHeader.MAGIC >>> 24) {
            if (type != StreamElementCodec.COMMAND
                    && type != StreamElementCodec.PART
                    && type != StreamElementCodec.END) {
                throw new ProtocolException(
                        "header.magic", 0, "a migration stream or its recovery", "0x%02x".formatted(type));
            }
            resumed = true;
            keeper.abandon("a recovery connection repeats nothing");
            postcopyBegins();
            state = State.LOOP;
            return 0;
        }
        if (limit - at < StreamHeader.LENGTH + 1) {
            return ~(StreamHeader.LENGTH + 1);
        }
        decodeWith(
                reader -> {
                    StreamHeader.read(reader);
                    return true;
                },
                in,
                at,
                StreamHeader.LENGTH);
        boolean present = in.get(at + StreamHeader.LENGTH) == ConfigurationCodec.TYPE;
        state = present ? State.CONFIGURATION : State.LOOP;
        return StreamHeader.LENGTH;
    }

    /** The section has no length: read again with more until its codec has seen that something else follows. */
    private int configuration(ByteBuffer in, int at, int limit) throws ProtocolException {
        StreamReader reader = reader(in, at, limit - at);
        try {
            Configuration read = ConfigurationCodec.read(reader).configuration();
            configuration = Optional.of(read);
            read.targetPageBits().ifPresent(bits -> ram.pageSize(1 << bits));
            if (read.capabilities().contains("x-ignore-shared")) {
                ram.withAddresses();
            }
            if (read.capabilities().contains("mapped-ram")) {
                throw new ProtocolException("configuration.capabilities", offset(), "a stream", "mapped-ram, a file");
            }
            state = State.LOOP;
            return (int) (reader.offset() - offset());
        } catch (ProtocolException e) {
            throw e;
        } catch (IOException _) {
            return ~(limit - at + 1);
        }
    }

    private int element(ByteBuffer in, int at, int limit) throws ProtocolException {
        int type = Byte.toUnsignedInt(in.get(at));
        return switch (type) {
            case StreamElementCodec.END_OF_STREAM -> endOfStream();
            case StreamElementCodec.START, StreamElementCodec.FULL -> introduced(type, in, at, limit);
            case StreamElementCodec.PART, StreamElementCodec.END -> continued(type, in, at, limit);
            case StreamElementCodec.COMMAND -> command(in, at, limit);
            default ->
                throw new ProtocolException(
                        "element.type", offset(), "an element of the section loop", "0x%02x".formatted(type));
        };
    }

    private int endOfStream() throws ProtocolException {
        if (inPackage) {
            throw new ProtocolException("element.type", offset(), "POSTCOPY_RUN before the end of the package", "EOF");
        }
        marks.set(Mark.EOF, offset(), 0);
        passes.stop(ram, offset());
        state = State.TAIL;
        if (postcopy) {
            end();
        }
        return 1;
    }

    private int introduced(int type, ByteBuffer in, int at, int limit) throws ProtocolException {
        if (limit - at <= SECTION_HEAD) {
            return ~(SECTION_HEAD + 1);
        }
        int length = SECTION_HEAD + 1 + Byte.toUnsignedInt(in.get(at + SECTION_HEAD)) + 2 * Integer.BYTES;
        if (limit - at < length) {
            return ~length;
        }
        sectionCounts[type]++;
        switch (decode(in, at, length)) {
            case Start(var _, int id, String idstr, int _, int version) -> start(id, idstr, version);
            case Full(var _, int id, String idstr, int _, int _) -> full(id, idstr);
            default -> throw new IllegalStateException("neither START nor FULL");
        }
        return length;
    }

    private void start(int id, String idstr, int version) throws ProtocolException {
        boolean isRam = "ram".equals(idstr);
        remember(id, idstr);
        if (isRam) {
            if (version != RamFlags.SECTION_VERSION) {
                throw new ProtocolException("section.version", offset(), "4 for ram", version);
            }
            ramSectionId = OptionalInt.of(id);
            marks.set(Mark.RAM_START, offset(), 0);
            keeper.beginRamSetup();
        }
        enter(id, isRam);
    }

    private void full(int id, String idstr) throws ProtocolException {
        remember(id, idstr);
        boolean early = !marks.has(Mark.FIRST_PART) && !marks.has(Mark.SWITCHOVER) && !inPackage && !resumed;
        if (early) {
            keeper.beginPrologue();
        } else {
            switchedOver();
        }
        enter(id, false);
    }

    private void remember(int id, String idstr) throws ProtocolException {
        if (sections.size() >= MAX_SECTIONS) {
            throw new ProtocolException("section.id", offset(), "at most " + MAX_SECTIONS + " sections", "one more");
        }
        sections.put(id, idstr);
    }

    private void enter(int id, boolean isRam) throws ProtocolException {
        sectionId = id;
        opaqueBytes = 0;
        if (isRam) {
            ram.bodyBegins();
            state = State.RAM;
        } else if (footers == Footers.OFF) {
            throw new ProtocolException(
                    "section.footer", offset(), "footers, without which no device section has an end", "none");
        } else {
            state = State.OPAQUE;
        }
    }

    private int continued(int type, ByteBuffer in, int at, int limit) throws ProtocolException {
        if (limit - at < SECTION_HEAD) {
            return ~SECTION_HEAD;
        }
        int id = in.getInt(at + 1);
        if (resumed && ramSectionId.isEmpty()) {
            ramSectionId = OptionalInt.of(id);
            sections.put(id, "ram");
        }
        if (!sections.containsKey(id)) {
            throw new ProtocolException(
                    "section.id", offset() + 1, "the id of a section that has started", Integer.toUnsignedString(id));
        }
        boolean isRam = ramSectionId.isPresent() && ramSectionId.getAsInt() == id;
        sectionCounts[type]++;
        if (!marks.has(Mark.FIRST_PART)) {
            keeper.prologueComplete();
        }
        if (isRam && type == StreamElementCodec.PART && !marks.has(Mark.FIRST_PART)) {
            marks.set(Mark.FIRST_PART, offset(), 0);
            if (!postcopy) {
                passes.begin(ram, offset());
            }
        } else if (isRam && type == StreamElementCodec.END && !postcopy) {
            switchedOver();
            ram.lastPassBegins(offset());
        }
        enter(id, isRam);
        return SECTION_HEAD;
    }

    private int command(ByteBuffer in, int at, int limit) throws ProtocolException {
        if (limit - at < SECTION_HEAD) {
            return ~SECTION_HEAD;
        }
        int length = SECTION_HEAD + Short.toUnsignedInt(in.getShort(at + 3));
        if (limit - at < length) {
            return ~length;
        }
        if (!(decode(in, at, length) instanceof CommandElement(var _, Command command))) {
            throw new IllegalStateException("no command");
        }
        switch (command) {
            case Command.OpenReturnPath() -> marks.set(Mark.OPEN_RETURN_PATH, offset(), 0);
            case Command.Ping(int value) -> marks.set(Mark.PING, offset(), Integer.toUnsignedLong(value));
            case Command.PostcopyAdvise(Optional<PageSizes> sizes) -> advise(sizes);
            case Command.PostcopyListen() -> marks.set(Mark.LISTEN, offset(), 0);
            case Command.PostcopyRun() -> run(length);
            case Command.PostcopyRamDiscard _ -> {
                switchedOver();
                marks.set(Mark.DISCARD, offset(), 0);
            }
            case Command.Packaged(long size) -> packaged(length, size);
            case Command.EnableColo() -> colo = true;
            case Command.PostcopyResume() -> marks.set(Mark.POSTCOPY_RESUME, offset(), 0);
            case Command.RecvBitmap _ -> marks.set(Mark.RECV_BITMAP, offset(), 0);
            case Command.SwitchoverStart() -> {
                marks.set(Mark.SWITCHOVER_START, offset(), 0);
                switchedOver();
            }
        }
        return length;
    }

    private void advise(Optional<PageSizes> sizes) throws ProtocolException {
        marks.set(Mark.ADVISE, offset(), 0);
        if (sizes.isEmpty()) {
            return;
        }
        long pageSize = sizes.get().targetPageSize();
        if (Long.bitCount(pageSize) != 1
                || pageSize < 1L << StreamLimits.MIN_PAGE_BITS
                || pageSize > 1L << StreamLimits.MAX_PAGE_BITS) {
            throw new ProtocolException("command.postcopy-advise", offset(), "a guest page size", pageSize);
        }
        ram.pageSize((int) pageSize);
        ram.hostPageSizes(sizes.get().hostPageSizeSummary());
    }

    private void run(int length) {
        marks.set(Mark.RUN, offset(), 0);
        long rest = packageEnd - offset() - length;
        if (inPackage && rest > 0) {
            countUnparsed(rest);
            skip(rest);
            state = State.PACKAGE_REST;
        }
    }

    private void packaged(int length, long size) throws ProtocolException {
        if (inPackage) {
            throw new ProtocolException("command.packaged", offset(), "no package within a package", "one");
        }
        switchedOver();
        marks.set(Mark.PACKAGED, offset(), size);
        packageStart = offset() + length;
        packageEnd = packageStart + size;
        packagePending = true;
        postcopyBegins();
    }

    private void postcopyBegins() {
        postcopy = true;
        precopyPages = ram.pages();
        ram.postcopyBegins();
    }

    private void switchedOver() {
        marks.setOnce(Mark.SWITCHOVER, offset());
        keeper.prologueComplete();
    }

    private int ram(ByteBuffer in, int at, int limit) throws ProtocolException {
        int result = ram.step(in, at, limit, offset());
        long over = ram.takeSkip();
        if (over > 0) {
            skip(over);
        }
        if (ram.isBodyEnded()) {
            state = State.FOOTER;
        }
        return result;
    }

    private int opaque(ByteBuffer in, int at, int limit) throws ProtocolException {
        int p = at;
        while (p < limit && in.get(p) != (byte) SectionFooter.TYPE) {
            p++;
        }
        if (p == at) {
            int verdict = SectionEnd.judge(in, at, limit - at, sectionId, sections::containsKey);
            if (verdict == SectionEnd.END
                    || (isInputOver() && verdict > 0 && SectionEnd.endsWithInput(in, at, limit - at))) {
                state = State.FOOTER;
                return 0;
            }
            if (verdict != SectionEnd.NO_END) {
                return ~verdict;
            }
            p++;
        }
        opaqueBytes += p - at;
        if (opaqueBytes > OpaqueSectionReader.DEFAULT_BODY_LIMIT_BYTES) {
            throw new ProtocolException("section.body", offset(), "a footer", "none within " + opaqueBytes + " bytes");
        }
        return p - at;
    }

    private int footer(ByteBuffer in, int at, int limit) throws ProtocolException {
        int type = Byte.toUnsignedInt(in.get(at));
        if (footers == Footers.UNKNOWN) {
            boolean absent = type != SectionFooter.TYPE && StreamElementCodec.isElement(type);
            footers = absent ? Footers.OFF : Footers.ON;
        }
        if (footers == Footers.OFF) {
            state = State.LOOP;
            // Nothing is consumed, so that nobody else would end what is kept.
            keeper.pause();
            return 0;
        }
        if (limit - at < SectionEnd.FOOTER_LENGTH) {
            return ~SectionEnd.FOOTER_LENGTH;
        }
        if (type != SectionFooter.TYPE || in.getInt(at + 1) != sectionId) {
            throw new ProtocolException(
                    "section.footer",
                    offset(),
                    "the footer of section " + Integer.toUnsignedString(sectionId),
                    "0x%02x".formatted(type));
        }
        state = State.LOOP;
        return SectionEnd.FOOTER_LENGTH;
    }

    private int tail(ByteBuffer in, int at, int limit) throws ProtocolException {
        if (isEnded() || in.get(at) != DescriptionElement.TYPE) {
            throw new ProtocolException(
                    "stream.end", offset(), "no byte behind the end", colo ? "the messages of COLO" : "some");
        }
        int head = 1 + Integer.BYTES;
        if (limit - at < head) {
            return ~head;
        }
        long length = Integer.toUnsignedLong(in.getInt(at + 1));
        if (length > StreamLimits.MAX_DESCRIPTION) {
            throw new ProtocolException(
                    "description.length", offset(), "at most " + StreamLimits.MAX_DESCRIPTION, length);
        }
        state = State.DESCRIPTION;
        skip(length);
        return head;
    }

    private StreamElement decode(ByteBuffer in, int at, int length) throws ProtocolException {
        return decodeWith(StreamElementCodec::read, in, at, length);
    }

    private interface Decoder<T> {
        T read(StreamReader in) throws IOException;
    }

    /** Runs one of the blocking codecs over bytes that are all there. */
    private <T> T decodeWith(Decoder<T> decoder, ByteBuffer in, int at, int length) throws ProtocolException {
        try {
            return decoder.read(reader(in, at, length));
        } catch (ProtocolException e) {
            throw e;
        } catch (IOException e) {
            throw new ProtocolException("element", offset(), "no more than " + length + " bytes", "more", e);
        }
    }

    private StreamReader reader(ByteBuffer in, int at, int length) {
        ByteBuffer piece = in.slice(at, length);
        ChunkSource source = () -> {
            if (piece.hasRemaining()) {
                ByteBuffer chunk = piece.duplicate();
                piece.position(piece.limit());
                return chunk;
            }
            throw new NeedMore();
        };
        return new StreamReader(source, offset());
    }

    /** What the source says of itself; absent until read, or without that section. */
    public Optional<Configuration> configuration() {
        return configuration;
    }

    /** True for a connection that recovers a postcopy migration. */
    public boolean isResumed() {
        return resumed;
    }

    /** True from the package on, or for a connection that recovers. */
    public boolean isPostcopy() {
        return postcopy;
    }

    /** Stream offset of the first of such marks. */
    public OptionalLong first(Mark mark) {
        return marks.first(mark);
    }

    /** How many of such marks have passed. */
    public long count(Mark mark) {
        return marks.count(mark);
    }

    /** Guest page size in bytes; 4096 until the stream says something else. */
    public int pageSizeBytes() {
        return ram.pageSize();
    }

    /** First value of POSTCOPY_ADVISE: the set of the blocks' page sizes; 0 without. */
    public long hostPageSizeSummary() {
        return ram.hostPageSizes();
    }

    /** The blocks in the order of the list, or of appearance on a recovery connection. */
    public List<RamBlockSeen> blocks() {
        return ram.blocks();
    }

    /** The id of the RAM section in this stream. */
    public OptionalInt ramSectionId() {
        return ramSectionId;
    }

    /** All pages of this channel. */
    public PageCounts pages() {
        return ram.pages();
    }

    /** Those of them that came behind the package, or on a recovery connection. */
    public PageCounts postcopyPages() {
        return postcopy ? ram.pages().minus(precopyPages) : PageCounts.NONE;
    }

    /** The passes so far, the one that goes on included; at most the first 4096. */
    public List<Pass> passes() {
        return passes.passes(ram);
    }

    /** Bytes of RAM records, headers included. */
    public long ramBytes() {
        return ram.recordBytes();
    }

    /** Bytes of all deltas. */
    public long deltaBytes() {
        return ram.deltaBytes();
    }

    /** End marks of RAM bodies. */
    public long endMarks() {
        return ram.endMarks();
    }

    /** Marks at which multifd channels are waited for. */
    public long multifdFlushes() {
        return ram.multifdFlushes();
    }

    /** Section parts that have begun, by type byte: 1 START, 2 PART, 3 END, 4 FULL. */
    public long sections(int type) {
        return sectionCounts[type];
    }

    /** Where the package's bytes begin; absent without one. */
    public OptionalLong packageStart() {
        return packageEnd == 0 ? OptionalLong.empty() : OptionalLong.of(packageStart);
    }

    /** Length of the package; absent without one. */
    public OptionalLong packageBytes() {
        return packageEnd == 0 ? OptionalLong.empty() : OptionalLong.of(packageEnd - packageStart);
    }

    /** Why a part of the package was passed over; absent if all of it was understood. */
    public Optional<String> packageTrouble() {
        return packageTrouble;
    }

    /**
     * True if the last bytes look like the end of a stream without description: nothing but silence or the end of the
     * channel tells it from a byte of a device. A source that suppresses descriptions stops like this.
     */
    public boolean mayHaveEnded() {
        return isEnded()
                || (state == State.TAIL && !isLost())
                || (state == State.OPAQUE
                        && heldCount() == SectionEnd.LENGTH_WITH_EOF
                        && SectionEnd.endsWithInput(heldView(), 0, heldCount()));
    }

    /** What a rescue would need. */
    public StreamKeeper keeper() {
        return keeper;
    }
}
