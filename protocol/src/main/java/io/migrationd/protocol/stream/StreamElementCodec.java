package io.migrationd.protocol.stream;

import io.migrationd.protocol.stream.StreamElement.CommandElement;
import io.migrationd.protocol.stream.StreamElement.End;
import io.migrationd.protocol.stream.StreamElement.EndOfStream;
import io.migrationd.protocol.stream.StreamElement.Full;
import io.migrationd.protocol.stream.StreamElement.Part;
import io.migrationd.protocol.stream.StreamElement.Start;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;

/**
 * Type bytes and headers of the section loop. Bodies are not here: they carry no length, only their owner knows where
 * they end. {@link SectionFooter} follows them.
 *
 * <p>Wire source: QEMU 10.0 migration/savevm.c, save_section_header, qemu_loadvm_state_main.
 */
public final class StreamElementCodec {
    /** Type byte of the end of the loop. */
    public static final int END_OF_STREAM = 0x00;

    /** Type byte of an iterable section's first part. */
    public static final int START = 0x01;

    /** Type byte of a further part. */
    public static final int PART = 0x02;

    /** Type byte of a last part. */
    public static final int END = 0x03;

    /** Type byte of a complete section. */
    public static final int FULL = 0x04;

    /** Type byte of a command. */
    public static final int COMMAND = 0x08;

    private StreamElementCodec() {}

    /** True if an element of the section loop starts with this byte. */
    public static boolean isElement(int type) {
        return (type >= END_OF_STREAM && type <= FULL) || type == COMMAND;
    }

    /** Reads the type byte and the header. The body of a section and the blob of PACKAGED are the caller's. */
    public static StreamElement read(StreamReader in) throws IOException {
        long at = in.offset();
        int type = in.readU8("element.type");
        return switch (type) {
            case END_OF_STREAM -> new EndOfStream(at);
            case START -> readStart(at, in);
            case PART -> new Part(at, in.readInt("section.id"));
            case END -> new End(at, in.readInt("section.id"));
            case FULL -> readFull(at, in);
            case COMMAND -> new CommandElement(at, CommandCodec.decode(in));
            default ->
                throw new ProtocolException(
                        "element.type",
                        at,
                        "0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND)",
                        describe(type));
        };
    }

    /** Writes what {@link #read} reads; offsets are not looked at. */
    public static void write(StreamElement element, WireWriter out) {
        switch (element) {
            case Start(var _, int id, String idstr, int instanceId, int version) ->
                writeSection(START, id, idstr, instanceId, version, out);
            case Full(var _, int id, String idstr, int instanceId, int version) ->
                writeSection(FULL, id, idstr, instanceId, version, out);
            case Part(var _, int id) -> writePart(id, out);
            case End(var _, int id) -> writeEnd(id, out);
            case CommandElement(var _, Command command) -> writeCommand(command, out);
            case EndOfStream(var _) -> writeEndOfStream(out);
        }
    }

    /** Writes the header of an iterable section's first part. */
    public static void writeStart(int sectionId, String idstr, int instanceId, int version, WireWriter out) {
        writeSection(START, sectionId, idstr, instanceId, version, out);
    }

    /** Writes the header of a complete section. */
    public static void writeFull(int sectionId, String idstr, int instanceId, int version, WireWriter out) {
        writeSection(FULL, sectionId, idstr, instanceId, version, out);
    }

    /** Writes the header of a further part. */
    public static void writePart(int sectionId, WireWriter out) {
        out.writeU8(PART).writeInt(sectionId);
    }

    /** Writes the header of a last part. */
    public static void writeEnd(int sectionId, WireWriter out) {
        out.writeU8(END).writeInt(sectionId);
    }

    /** Writes a command element. */
    public static void writeCommand(Command command, WireWriter out) {
        CommandCodec.encode(command, out.writeU8(COMMAND));
    }

    /** Writes the end of the loop. */
    public static void writeEndOfStream(WireWriter out) {
        out.writeU8(END_OF_STREAM);
    }

    private static Start readStart(long at, StreamReader in) throws IOException {
        int id = in.readInt("section.id");
        String idstr = in.readName("section.idstr");
        return new Start(at, id, idstr, in.readInt("section.instance-id"), in.readInt("section.version"));
    }

    private static Full readFull(long at, StreamReader in) throws IOException {
        int id = in.readInt("section.id");
        String idstr = in.readName("section.idstr");
        return new Full(at, id, idstr, in.readInt("section.instance-id"), in.readInt("section.version"));
    }

    private static void writeSection(
            int type, int sectionId, String idstr, int instanceId, int version, WireWriter out) {
        out.writeU8(type)
                .writeInt(sectionId)
                .writeName(idstr)
                .writeInt(instanceId)
                .writeInt(version);
    }

    /** What the peer may have meant: these bytes are legal elsewhere. */
    private static String describe(int type) {
        String name = switch (type) {
            case 0x05 -> " (SUBSECTION, legal inside device state only)";
            case DescriptionElement.TYPE -> " (VMDESCRIPTION, legal after EOF only)";
            case ConfigurationCodec.TYPE -> " (CONFIGURATION, legal after the header only)";
            case SectionFooter.TYPE -> " (SECTION_FOOTER, legal after a section only)";
            default -> "";
        };
        return "0x%02x%s".formatted(type, name);
    }
}
