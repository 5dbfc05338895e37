package io.migrationd.protocol.inspect;

import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.Command.Packaged;
import io.migrationd.protocol.stream.Configuration;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.Printable;
import io.migrationd.protocol.stream.ReceivedConfiguration;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElement.CommandElement;
import io.migrationd.protocol.stream.StreamElement.End;
import io.migrationd.protocol.stream.StreamElement.EndOfStream;
import io.migrationd.protocol.stream.StreamElement.Full;
import io.migrationd.protocol.stream.StreamElement.Part;
import io.migrationd.protocol.stream.StreamElement.Start;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.stream.StreamLimits;
import io.migrationd.protocol.vmstate.VmDescription;
import io.migrationd.protocol.vmstate.VmDescriptionException;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** Walks a main channel: header, configuration, section loop, packages, description, COLO checkpoints. */
final class StreamWalk {
    private enum Footers {
        UNKNOWN,
        ON,
        OFF
    }

    /** A section that a START or FULL has introduced. */
    private record Section(int id, String idstr, int instanceId, Optional<BodyGrammar> grammar) {}

    private final InspectInput input;
    private final Trace trace;
    private final GuestRam ram = new GuestRam();
    private final Map<Integer, Section> sections = new HashMap<>();
    private final CommandRules commands;
    private final DeviceSections devices;
    private Optional<RamBody> ramBody = Optional.empty();
    private Footers footers = Footers.UNKNOWN;
    private InputCursor cursor;

    StreamWalk(InspectInput input, InputCursor cursor, Trace trace, InspectOptions options) throws IOException {
        this.input = input;
        this.cursor = cursor;
        this.trace = trace;
        Optional<VmDescription> description = TrailingDescription.find(input);
        this.devices = new DeviceSections(input, trace, description);
        this.commands = new CommandRules(ram, trace);
        description
                .map(VmDescription::pageSizeBytes)
                .filter(GuestRam::isPageSize)
                .ifPresent(size -> ram.pageSize = (int) (long) size);
        options.pageSizeBytes().ifPresent(size -> {
            ram.pageSize = size;
            ram.pageSizeKnown = true;
        });
    }

    /** The whole of a main channel, from its header on. */
    void walkStream() throws IOException {
        StreamReader in = in();
        trace.enter("the header");
        long at = in.offset();
        StreamHeader.read(in);
        trace.item(at, "header", Map.of("version", StreamHeader.VERSION));
        trace.leave();
        if (ConfigurationCodec.isNext(in)) {
            configuration();
        } else {
            trace.note(in.offset(), "no configuration section");
        }
        walkLoop();
        afterEnd();
    }

    /** A connection that resumes a broken postcopy migration: the loop goes on where the first connection left it. */
    void walkResumed() throws IOException {
        trace.note(
                in().offset(), "no header: a resumed postcopy connection, sections not introduced are taken for ram");
        commands.resume();
        walkLoop();
        nothingBehind();
    }

    private StreamReader in() {
        return cursor.reader();
    }

    private void configuration() throws IOException {
        trace.enter("the configuration section");
        long at = in().offset();
        ReceivedConfiguration received = ConfigurationCodec.read(in());
        Configuration configuration = received.configuration();
        Map<String, Object> details = new LinkedHashMap<>();
        details.put("machine", configuration.machineType());
        configuration.targetPageBits().ifPresent(bits -> {
            details.put("page_bits", bits);
            ram.pageSize = 1 << bits;
            ram.pageSizeKnown = true;
        });
        if (!configuration.capabilities().isEmpty()) {
            details.put("capabilities", String.join(",", configuration.capabilities()));
        }
        configuration.uuid().ifPresent(uuid -> details.put("uuid", uuid.toString()));
        ram.ignoreShared = configuration.capabilities().contains("x-ignore-shared");
        ram.mappedRam = configuration.capabilities().contains("mapped-ram");
        trace.item(at, "configuration", details);
        trace.leave();
    }

    /** Elements up to EOF, or up to the end of a package that has run. */
    private void walkLoop() throws IOException {
        while (true) {
            trace.enter("the section loop");
            StreamElement element = StreamElementCodec.read(in());
            trace.leave();
            switch (element) {
                case Start start -> introduce(start);
                case Full full -> full(full);
                case Part(long offset, int id) -> continued(offset, "PART", id);
                case End(long offset, int id) -> continued(offset, "END", id);
                case CommandElement(long offset, Command command) -> {
                    if (command(offset, command)) {
                        return;
                    }
                }
                case EndOfStream(long offset) -> {
                    trace.item(offset, "EOF");
                    return;
                }
            }
        }
    }

    private void introduce(Start start) throws IOException {
        Optional<BodyGrammar> grammar = grammar(start);
        Section section = new Section(start.sectionId(), start.idstr(), start.instanceId(), grammar);
        sections.put(start.sectionId(), section);
        BodyReport report = new BodyReport();
        report.detail("section", start.idstr());
        report.detail("id", Integer.toUnsignedLong(start.sectionId()));
        report.detail("instance", Integer.toUnsignedLong(start.instanceId()));
        report.detail("version", Integer.toUnsignedLong(start.version()));
        body(start.offset(), "START", section, report);
    }

    private void continued(long offset, String what, int id) throws IOException {
        Section section = sections.get(id);
        if (section == null && commands.isResumed()) {
            section = new Section(id, "ram", 0, Optional.of(ramBody()));
            sections.put(id, section);
        }
        if (section == null) {
            throw new ProtocolException(
                    "section.id",
                    offset + 1,
                    "the id of a section that has started",
                    Integer.toUnsignedString(id) + " in a " + what);
        }
        BodyReport report = new BodyReport();
        report.detail("section", section.idstr());
        report.detail("id", Integer.toUnsignedLong(id));
        body(offset, what, section, report);
    }

    private void full(Full full) throws IOException {
        Optional<BodyGrammar> grammar =
                "s390-skeys".equals(full.idstr()) ? Optional.of(new StorageAttributesBody("skeys")) : Optional.empty();
        Section section = new Section(full.sectionId(), full.idstr(), full.instanceId(), grammar);
        sections.put(full.sectionId(), section);
        BodyReport report = new BodyReport();
        report.detail("section", full.idstr());
        report.detail("id", Integer.toUnsignedLong(full.sectionId()));
        report.detail("instance", Integer.toUnsignedLong(full.instanceId()));
        report.detail("version", Integer.toUnsignedLong(full.version()));
        body(full.offset(), "FULL", section, report);
    }

    /** Body and footer. What was found of a broken body is shown before the fault. */
    private void body(long offset, String what, Section section, BodyReport report) throws IOException {
        trace.enter("%s of section %s (id %s), which starts at offset %d"
                .formatted(what, Printable.quote(section.idstr()), Integer.toUnsignedString(section.id()), offset));
        trace.totals().add("section " + what, 1);
        long bodyOffset = in().offset();
        try {
            if (section.grammar().isPresent()) {
                section.grammar().get().walk(in(), report);
                report.detail("bytes", in().offset() - bodyOffset);
            } else {
                opaque(offset, section, report);
            }
            footer(section);
        } catch (IOException e) {
            report.detail("incomplete", true);
            show(offset, what, report);
            throw e;
        }
        show(offset, what, report);
        trace.leave();
    }

    private void show(long offset, String what, BodyReport report) throws IOException {
        trace.totals().addAll(report.counts());
        trace.item(offset, what, report.details());
        report.showChildren(trace);
    }

    private void opaque(long offset, Section section, BodyReport report) throws IOException {
        Full header = new Full(offset, section.id(), section.idstr(), section.instanceId(), 0);
        byte[] body = devices.readBody(header, cursor, sections::containsKey, report);
        if ("globalstate".equals(section.idstr())) {
            GlobalState.describe(body, report);
        }
    }

    private void footer(Section section) throws IOException {
        if (footers == Footers.UNKNOWN) {
            boolean present = SectionFooter.isNext(in());
            footers = present || !looksLikeElement() ? Footers.ON : Footers.OFF;
            if (!present && footers == Footers.OFF) {
                trace.note(in().offset(), "no section footers");
            }
        }
        if (footers == Footers.ON) {
            SectionFooter.read(in(), section.id(), section.idstr());
        }
    }

    /** Without footers the next element follows. Anything else is a footer that went wrong. */
    private boolean looksLikeElement() throws IOException {
        ByteBuffer next = in().peek(1);
        return next != null && StreamElementCodec.isElement(Byte.toUnsignedInt(next.get(0)));
    }

    private Optional<BodyGrammar> grammar(Start start) throws ProtocolException {
        String idstr = start.idstr();
        return switch (idstr) {
            case "ram" -> {
                requireVersion(start, RamFlags.SECTION_VERSION);
                yield Optional.of(ramBody());
            }
            case "dirty-bitmap" -> {
                requireVersion(start, 1);
                yield Optional.of(new DirtyBitmapBody(trace));
            }
            case "block" -> {
                requireVersion(start, 1);
                yield Optional.of(new BlockBody());
            }
            case "spapr/htab" -> {
                requireVersion(start, 1);
                yield Optional.of(new HashTableBody());
            }
            case "s390-storage_attributes" -> {
                requireVersion(start, 0);
                yield Optional.of(new StorageAttributesBody("stattrib"));
            }
            default -> {
                boolean isVfio = idstr.endsWith("/vfio") || "vfio".equals(idstr);
                if (isVfio) {
                    requireVersion(start, 1);
                }
                yield isVfio ? Optional.of(new VfioBody()) : Optional.empty();
            }
        };
    }

    private static void requireVersion(Start start, int version) throws ProtocolException {
        if (start.version() != version) {
            throw new ProtocolException(
                    "section.version of " + Printable.quote(start.idstr()),
                    // Type, id, counted name, instance id.
                    start.offset() + 1 + 4 + 1 + start.idstr().length() + 4,
                    Integer.toString(version),
                    Integer.toUnsignedString(start.version()));
        }
    }

    /** One per channel: it keeps the CONTINUE state across bodies and connections. */
    private RamBody ramBody() {
        if (ramBody.isEmpty()) {
            ramBody = Optional.of(new RamBody(ram, trace, input.size()));
            if (commands.isPostcopy()) {
                ramBody.get().postcopyBegins();
            }
        }
        return ramBody.get();
    }

    /** True if the command ends the loop that it is in. */
    private boolean command(long offset, Command command) throws IOException {
        trace.totals().add("cmd " + CommandRules.name(command), 1);
        trace.item(offset, "COMMAND", CommandRules.details(command));
        commands.check(offset, command);
        return switch (command) {
            case Command.PostcopyListen() -> {
                ramBody.ifPresent(RamBody::postcopyBegins);
                yield false;
            }
            case Command.PostcopyRun() -> commands.isInPackage();
            case Packaged(long size) -> {
                packaged(offset, size);
                yield false;
            }
            default -> false;
        };
    }

    private void packaged(long offset, long size) throws IOException {
        if (size > StreamLimits.MAX_PACKAGE) {
            throw new ProtocolException(
                    "command.packaged.size", offset + 5, "at most " + StreamLimits.MAX_PACKAGE + " bytes", size);
        }
        InputCursor outer = cursor;
        long start = in().offset();
        trace.enter("the package of %d bytes at offset %d".formatted(size, start));
        trace.deeper();
        commands.enterPackage();
        cursor = new InputCursor(input, start, start + size);
        walkLoop();
        if (cursor.left() > 0) {
            throw new ProtocolException(
                    "command.packaged", in().offset(), "the end of the package", cursor.left() + " bytes left");
        }
        commands.leavePackage();
        trace.higher();
        trace.leave();
        cursor = outer;
        in().skip("command.packaged", size);
    }

    private void afterEnd() throws IOException {
        if (!commands.isPostcopy()) {
            description();
        }
        if (cursor.left() > 0 && (commands.isColo() || Checkpoints.isNext(in()))) {
            new Checkpoints(this, trace).walk(cursor);
        }
        nothingBehind();
    }

    private void nothingBehind() throws IOException {
        if (cursor.left() > 0) {
            trace.note(in().offset(), cursor.left() + " bytes follow the end of the stream");
        }
    }

    private void description() throws IOException {
        ByteBuffer next = in().peek(1);
        if (next == null || next.get(0) != DescriptionElement.TYPE) {
            trace.note(in().offset(), "no description");
            return;
        }
        switch (DescriptionElement.read(in(), StreamLimits.MAX_DESCRIPTION)) {
            case DescriptionElement.Absent(long offset, String reason) -> trace.note(offset, reason);
            case DescriptionElement.Present(long offset, String json) -> {
                Map<String, Object> details = new LinkedHashMap<>();
                details.put("bytes", json.length());
                try {
                    VmDescription description = VmDescription.parse(json);
                    details.put("devices", description.devices().size());
                    details.put("page_size", description.pageSizeBytes());
                    trace.item(offset, "DESCRIPTION", details);
                    compare(offset, description);
                } catch (VmDescriptionException e) {
                    trace.item(offset, "DESCRIPTION", details);
                    trace.note(
                            offset,
                            "the description cannot be used: " + Printable.quote(String.valueOf(e.getMessage())));
                }
            }
        }
    }

    private void compare(long offset, VmDescription description) throws IOException {
        long described = description.devices().size();
        long found = trace.totals().get("section FULL");
        if (described != found) {
            trace.note(offset, "%d devices are described, %d FULL sections were found".formatted(described, found));
        }
        if (description.pageSizeBytes() != 0 && description.pageSizeBytes() != ram.pageSize) {
            trace.note(
                    offset,
                    "the description says guest pages of %d bytes, the stream was read with %d"
                            .formatted(description.pageSizeBytes(), ram.pageSize));
        }
        devices.verify(description);
    }

    /** A checkpoint's part of the stream: elements up to EOF. */
    void walkCheckpointElements() throws IOException {
        walkLoop();
    }

    /** A checkpoint's device state: elements and EOF in exactly {@code size} bytes. */
    void walkCheckpointState(long size) throws IOException {
        InputCursor outer = cursor;
        long start = in().offset();
        cursor = new InputCursor(input, start, start + size);
        walkLoop();
        if (cursor.left() > 0) {
            throw new ProtocolException(
                    "colo.state", in().offset(), "the end of the device state", cursor.left() + " bytes left");
        }
        cursor = outer;
        in().skip("colo.state", size);
    }

    /** Where the walk has got to: what it was reading when it failed. */
    InputCursor cursor() {
        return cursor;
    }
}
