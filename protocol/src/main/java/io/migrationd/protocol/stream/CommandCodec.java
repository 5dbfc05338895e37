package io.migrationd.protocol.stream;

import io.migrationd.protocol.stream.Command.EnableColo;
import io.migrationd.protocol.stream.Command.OpenReturnPath;
import io.migrationd.protocol.stream.Command.Packaged;
import io.migrationd.protocol.stream.Command.PageSizes;
import io.migrationd.protocol.stream.Command.Ping;
import io.migrationd.protocol.stream.Command.PostcopyAdvise;
import io.migrationd.protocol.stream.Command.PostcopyListen;
import io.migrationd.protocol.stream.Command.PostcopyRamDiscard;
import io.migrationd.protocol.stream.Command.PostcopyResume;
import io.migrationd.protocol.stream.Command.PostcopyRun;
import io.migrationd.protocol.stream.Command.Range;
import io.migrationd.protocol.stream.Command.RecvBitmap;
import io.migrationd.protocol.stream.Command.SwitchoverStart;
import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * be16 number, be16 payload length, payload. Number and length are checked before the payload is read. The blob of
 * PACKAGED follows the element and is not counted.
 *
 * <p>Wire source: QEMU 10.0 migration/savevm.c, enum qemu_vm_cmd, mig_cmd_args, loadvm_process_command.
 */
public final class CommandCodec {
    private static final int OPEN_RETURN_PATH = 1;
    private static final int PING = 2;
    private static final int POSTCOPY_ADVISE = 3;
    private static final int POSTCOPY_LISTEN = 4;
    private static final int POSTCOPY_RUN = 5;
    private static final int POSTCOPY_RAM_DISCARD = 6;
    private static final int PACKAGED = 7;
    private static final int ENABLE_COLO = 8;
    private static final int POSTCOPY_RESUME = 9;
    private static final int RECV_BITMAP = 10;
    private static final int SWITCHOVER_START = 11;

    private static final int ADVISE_LENGTH = 2 * Long.BYTES;
    private static final int DISCARD_LAYOUT = 0;
    private static final int RANGE_LENGTH = 2 * Long.BYTES;
    /** Layout version, a name of one byte, its closing zero, one range. */
    private static final int MIN_DISCARD_LENGTH = 1 + 2 + 1 + RANGE_LENGTH;

    private CommandCodec() {}

    /**
     * Reads a command; the type byte 0x08 has been read.
     *
     * @throws ProtocolException if number, length or payload are not what the format allows
     */
    public static Command decode(StreamReader in) throws IOException {
        long at = in.offset();
        int number = in.readU16("command.number");
        return switch (number) {
            case OPEN_RETURN_PATH -> payload("command.open-return-path", 0, in, new OpenReturnPath());
            case PING -> new Ping(fixed("command.ping", Integer.BYTES, in).readInt("command.ping.value"));
            case POSTCOPY_ADVISE -> advise(in);
            case POSTCOPY_LISTEN -> payload("command.postcopy-listen", 0, in, new PostcopyListen());
            case POSTCOPY_RUN -> payload("command.postcopy-run", 0, in, new PostcopyRun());
            case POSTCOPY_RAM_DISCARD -> discard(in);
            case PACKAGED -> packaged(fixed("command.packaged", Integer.BYTES, in));
            case ENABLE_COLO -> payload("command.enable-colo", 0, in, new EnableColo());
            case POSTCOPY_RESUME -> payload("command.postcopy-resume", 0, in, new PostcopyResume());
            case RECV_BITMAP -> recvBitmap(in);
            case SWITCHOVER_START -> payload("command.switchover-start", 0, in, new SwitchoverStart());
            default -> throw new ProtocolException("command.number", at, "1 to " + SWITCHOVER_START, number);
        };
    }

    /** Writes number, length and payload, without the type byte of the element. */
    public static void encode(Command command, WireWriter out) {
        switch (command) {
            case OpenReturnPath() -> head(OPEN_RETURN_PATH, 0, out);
            case Ping(int value) -> head(PING, Integer.BYTES, out).writeInt(value);
            case PostcopyAdvise(Optional<PageSizes> sizes) -> encodeAdvise(sizes, out);
            case PostcopyListen() -> head(POSTCOPY_LISTEN, 0, out);
            case PostcopyRun() -> head(POSTCOPY_RUN, 0, out);
            case PostcopyRamDiscard discard -> encodeDiscard(discard, out);
            case Packaged(long sizeBytes) -> encodePackaged(sizeBytes, out);
            case EnableColo() -> head(ENABLE_COLO, 0, out);
            case PostcopyResume() -> head(POSTCOPY_RESUME, 0, out);
            case RecvBitmap(String block) ->
                head(RECV_BITMAP, 1 + Names.toWire(block).length, out).writeName(block);
            case SwitchoverStart() -> head(SWITCHOVER_START, 0, out);
        }
    }

    private static WireWriter head(int number, int length, WireWriter out) {
        return out.writeU16(number).writeU16(length);
    }

    private static Command payload(String field, int length, StreamReader in, Command command) throws IOException {
        fixed(field, length, in);
        return command;
    }

    private static StreamReader fixed(String field, int expected, StreamReader in) throws IOException {
        long at = in.offset();
        int actual = in.readU16(field + ".length");
        if (actual != expected) {
            throw badLength(field, at, expected + " bytes", actual);
        }
        return in;
    }

    private static ProtocolException badLength(String field, long at, String expected, int actual) {
        return new ProtocolException(field + ".length", at, expected, actual + " bytes");
    }

    private static Command advise(StreamReader in) throws IOException {
        long at = in.offset();
        int length = in.readU16("command.postcopy-advise.length");
        if (length == 0) {
            return new PostcopyAdvise(Optional.empty());
        }
        if (length != ADVISE_LENGTH) {
            throw badLength("command.postcopy-advise", at, "0 or " + ADVISE_LENGTH + " bytes", length);
        }
        long summary = in.readLong("command.postcopy-advise.host-page-sizes");
        return new PostcopyAdvise(
                Optional.of(new PageSizes(summary, in.readLong("command.postcopy-advise.target-page-size"))));
    }

    private static void encodeAdvise(Optional<PageSizes> sizes, WireWriter out) {
        head(POSTCOPY_ADVISE, sizes.isPresent() ? ADVISE_LENGTH : 0, out);
        sizes.ifPresent(it -> out.writeLong(it.hostPageSizeSummary()).writeLong(it.targetPageSize()));
    }

    private static Command packaged(StreamReader in) throws IOException {
        long at = in.offset();
        long size = in.readU32("command.packaged.size");
        if (size == 0) {
            throw new ProtocolException("command.packaged.size", at, "1 or more bytes", "an empty package");
        }
        return new Packaged(size);
    }

    private static void encodePackaged(long sizeBytes, WireWriter out) {
        if (sizeBytes <= 0 || sizeBytes > 0xFFFF_FFFFL) {
            throw new IllegalArgumentException("a package of " + sizeBytes + " bytes cannot be announced");
        }
        head(PACKAGED, Integer.BYTES, out).writeInt((int) sizeBytes);
    }

    private static Command recvBitmap(StreamReader in) throws IOException {
        long at = in.offset();
        int length = in.readU16("command.recv-bitmap.length");
        if (length == 0) {
            throw badLength("command.recv-bitmap", at, "at least 2 bytes", length);
        }
        String block = in.readName("command.recv-bitmap.block");
        if (length != 1 + block.length()) {
            throw badLength("command.recv-bitmap", at, (1 + block.length()) + " bytes, 1 + name", length);
        }
        return new RecvBitmap(block);
    }

    private static Command discard(StreamReader in) throws IOException {
        long at = in.offset();
        int length = in.readU16("command.postcopy-ram-discard.length");
        if (length < MIN_DISCARD_LENGTH) {
            throw badLength("command.postcopy-ram-discard", at, "at least " + MIN_DISCARD_LENGTH + " bytes", length);
        }
        expectByte("command.postcopy-ram-discard.layout", DISCARD_LAYOUT, in);
        String block = in.readName("command.postcopy-ram-discard.block");
        int rangesLength = length - 3 - block.length();
        if (rangesLength <= 0 || rangesLength % RANGE_LENGTH != 0) {
            throw badLength(
                    "command.postcopy-ram-discard",
                    at,
                    (3 + block.length()) + " bytes and one or more ranges of " + RANGE_LENGTH,
                    length);
        }
        expectByte("command.postcopy-ram-discard.name-end", 0, in);
        List<Range> ranges = new ArrayList<>();
        for (int i = 0; i < rangesLength / RANGE_LENGTH; i++) {
            ranges.add(range(in));
        }
        return new PostcopyRamDiscard(block, ranges);
    }

    private static Range range(StreamReader in) throws IOException {
        long at = in.offset();
        long start = in.readLong("command.postcopy-ram-discard.start");
        long length = in.readLong("command.postcopy-ram-discard.range-length");
        if (start < 0 || length <= 0 || start + length < 0) {
            throw new ProtocolException(
                    "command.postcopy-ram-discard.range",
                    at,
                    "a range that is not empty and ends below 2^63",
                    "start 0x%x, length 0x%x".formatted(start, length));
        }
        return new Range(start, length);
    }

    private static void expectByte(String field, int expected, StreamReader in) throws IOException {
        long at = in.offset();
        int actual = in.readU8(field);
        if (actual != expected) {
            throw new ProtocolException(field, at, Integer.toString(expected), actual);
        }
    }

    private static void encodeDiscard(PostcopyRamDiscard discard, WireWriter out) {
        int length = 3
                + Names.toWire(discard.block()).length
                + RANGE_LENGTH * discard.ranges().size();
        if (discard.ranges().isEmpty() || length > 0xFFFF) {
            throw new IllegalArgumentException(
                    "a discard of " + discard.ranges().size() + " ranges cannot be written");
        }
        head(POSTCOPY_RAM_DISCARD, length, out)
                .writeU8(DISCARD_LAYOUT)
                .writeName(discard.block())
                .writeU8(0);
        discard.ranges().forEach(range -> out.writeLong(range.start()).writeLong(range.length()));
    }
}
