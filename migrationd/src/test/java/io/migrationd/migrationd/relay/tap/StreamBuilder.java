package io.migrationd.migrationd.relay.tap;

import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.WireWriter;
import java.nio.charset.StandardCharsets;

/** Writes small streams, piece by piece. */
final class StreamBuilder {
    private static final int PAGE = 4096;
    static final int RAM_ID = 7;

    final WireWriter out = new WireWriter();

    StreamBuilder header() {
        StreamHeader.write(out);
        byte[] machine = "pc".getBytes(StandardCharsets.US_ASCII);
        out.writeU8(7).writeInt(machine.length).writeBytes(machine);
        return this;
    }

    StreamBuilder command(Command command) {
        StreamElementCodec.writeCommand(command, out);
        return this;
    }

    StreamBuilder ramStart(long... blockPages) {
        StreamElementCodec.writeStart(RAM_ID, "ram", 0, 4, out);
        long total = 0;
        for (long pages : blockPages) {
            total += pages * PAGE;
        }
        out.writeLong(total | RamFlags.MEM_SIZE);
        for (int i = 0; i < blockPages.length; i++) {
            out.writeName("b" + i).writeLong(blockPages[i] * PAGE);
        }
        return endRam();
    }

    StreamBuilder part() {
        StreamElementCodec.writePart(RAM_ID, out);
        return this;
    }

    StreamBuilder end() {
        StreamElementCodec.writeEnd(RAM_ID, out);
        return this;
    }

    StreamBuilder page(int block, long page) {
        out.writeLong(page * PAGE | RamFlags.PAGE).writeName("b" + block).writeBytes(new byte[PAGE]);
        return this;
    }

    StreamBuilder zero(int block, long page) {
        out.writeLong(page * PAGE | RamFlags.ZERO).writeName("b" + block).writeU8(0);
        return this;
    }

    StreamBuilder flush() {
        out.writeLong(RamFlags.MULTIFD_FLUSH);
        return this;
    }

    StreamBuilder endRam() {
        out.writeLong(RamFlags.EOS);
        return footer(RAM_ID);
    }

    StreamBuilder footer(int id) {
        out.writeU8(0x7E).writeInt(id);
        return this;
    }

    StreamBuilder device(int id, String name, byte[] body) {
        StreamElementCodec.writeFull(id, name, 0, 1, out);
        out.writeBytes(body);
        return footer(id);
    }

    StreamBuilder endOfStream() {
        StreamElementCodec.writeEndOfStream(out);
        return this;
    }

    byte[] bytes() {
        return out.toByteArray();
    }

    int length() {
        return out.toByteArray().length;
    }
}
