package io.migrationd.it.bench;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamRecordWriter;
import io.migrationd.protocol.ram.RamRecordWriter.BlockName;
import io.migrationd.protocol.stream.Configuration;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.List;

/** Makes a guest out of a file: the shortest stream that carries it, without devices. */
final class GuestStream {
    private static final int RAM_SECTION = 1;
    private static final int PAGE_BYTES = 4096;
    private static final int RUN_PAGES = 60;
    private static final String BLOCK = "pc.ram";

    private final SocketChannel socket;
    private final RamRecordWriter records = new RamRecordWriter();
    private final BlockName name = new BlockName(BLOCK);
    private final ByteBuffer bytes = ByteBuffer.allocateDirect(RUN_PAGES * (PAGE_BYTES + Long.BYTES) + 1024);
    private final MemorySegment segment = MemorySegment.ofBuffer(bytes);

    private GuestStream(SocketChannel socket) {
        this.socket = socket;
    }

    /** Sends the content of {@code ram}; holes stay holes. */
    static void send(Path ram, String address) throws IOException {
        if (!(MigrationUri.parse(address) instanceof MigrationUri.Tcp tcp)) {
            throw new IllegalArgumentException("no TCP address: " + address);
        }
        try (FdRamBlock block = FdRamBlock.openFile(BLOCK, ram);
                SocketChannel socket = SocketChannel.open(tcp.resolve())) {
            new GuestStream(socket).send(block);
        }
    }

    private void send(FdRamBlock block) throws IOException {
        WireWriter head = new WireWriter();
        StreamHeader.write(head);
        ConfigurationCodec.write(Configuration.of("pc-i440fx-7.2"), head);
        StreamElementCodec.writeStart(RAM_SECTION, "ram", 0, RamFlags.SECTION_VERSION, head);
        RamRecordWriter.blockList(List.of(new BlockListEntry(0, BLOCK, block.lengthBytes(), 0)), head);
        SectionFooter.write(RAM_SECTION, head);
        StreamElementCodec.writeEnd(RAM_SECTION, head);
        write(ByteBuffer.wrap(head.toByteArray()));
        sendPages(block);
        WireWriter tail = new WireWriter();
        tail.writeLong(RamFlags.EOS);
        SectionFooter.write(RAM_SECTION, tail);
        StreamElementCodec.writeEndOfStream(tail);
        write(ByteBuffer.wrap(tail.toByteArray()));
    }

    private void sendPages(FdRamBlock block) throws IOException {
        long at = block.nextData(0);
        while (at < block.lengthBytes()) {
            long end = block.nextHole(at);
            for (; at < end; at += (long) RUN_PAGES * PAGE_BYTES) {
                sendRun(block, at, (int) Math.min(RUN_PAGES, (end - at) / PAGE_BYTES));
            }
            at = block.nextData(end);
        }
    }

    private void sendRun(FdRamBlock block, long from, int count) throws IOException {
        int stride = PAGE_BYTES + Long.BYTES;
        long position = records.headerBytes(name);
        block.readPages(from, count, PAGE_BYTES, segment, position, stride);
        position = 0;
        for (int i = 0; i < count; i++) {
            position =
                    records.header(segment, position, name, from + (long) i * PAGE_BYTES, RamFlags.PAGE) + PAGE_BYTES;
        }
        write(bytes.clear().limit((int) position));
    }

    private void write(ByteBuffer piece) throws IOException {
        while (piece.hasRemaining()) {
            socket.write(piece);
        }
    }
}
