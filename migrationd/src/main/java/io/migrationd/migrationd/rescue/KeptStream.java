package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.outgoing.OriginalStream;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.Configuration;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Set;

/**
 * {@link KeptParts} understood: who the guest is, what RAM it has, and where its devices lie in the package.
 *
 * @param head header and configuration without the commands behind them
 * @param devices the package without LISTEN, PINGs and RUN; empty if there is no package
 */
record KeptStream(
        Configuration configuration,
        int pageSizeBytes,
        int ramSectionId,
        List<BlockListEntry> blocks,
        byte[] head,
        byte[] devices) {
    private static final int IMPLICIT_PAGE_BITS = 12;
    /** A block whose page size is not the base one announces it; any size from 8 KiB to 1 GiB. */
    private static final long ANY_PAGE_SIZE = (1L << 31) - (1L << IMPLICIT_PAGE_BITS);

    /** They change the RAM section: blocks that are not sent, or data in its START. */
    private static final Set<String> UNSUPPORTED = Set.of("x-ignore-shared", "mapped-ram");

    private static final byte FULL = 0x04;
    private static final byte START = 0x01;

    /** The device sections, for {@link OriginalStream}. */
    OriginalStream original() {
        return new OriginalStream(ramSectionId, head, devices);
    }

    /** Bytes of all blocks. */
    long totalBytes() {
        return blocks.stream().mapToLong(BlockListEntry::lengthBytes).sum();
    }

    /**
     * Understands them.
     *
     * @throws IOException if they are not what a QEMU sends, or of a kind that cannot be rescued
     */
    static KeptStream parse(KeptParts parts) throws IOException {
        StreamReader prologue = StreamReader.of(parts.prologue());
        StreamHeader.read(prologue);
        Configuration configuration = ConfigurationCodec.read(prologue).configuration();
        int headBytes = (int) prologue.offset();
        for (String capability : configuration.capabilities()) {
            if (UNSUPPORTED.contains(capability)) {
                throw new IOException("a migration with capability '%s' cannot be rescued".formatted(capability));
            }
        }
        int pageSizeBytes = 1 << configuration.targetPageBits().orElse(IMPLICIT_PAGE_BITS);
        BlockList list = new BlockList();
        int ramSectionId = readRamSetup(StreamReader.of(parts.ramSetup()), pageSizeBytes, list);
        return new KeptStream(
                configuration,
                pageSizeBytes,
                ramSectionId,
                list.entries,
                Arrays.copyOf(parts.prologue(), headBytes),
                devicesOf(parts.packaged()));
    }

    private static int readRamSetup(StreamReader in, int pageSizeBytes, BlockList list) throws IOException {
        StreamElement first = StreamElementCodec.read(in);
        if (!(first instanceof StreamElement.Start(long at, int id, String idstr, int _, int version))
                || !idstr.equals("ram")) {
            throw new ProtocolException("ram setup", 0, "START of section 'ram'", first);
        }
        if (version != RamFlags.SECTION_VERSION) {
            throw new ProtocolException("ram setup", at, "version " + RamFlags.SECTION_VERSION, version);
        }
        RamSectionDecoder<BlockListEntry> decoder = new RamSectionDecoder<>(pageSizeBytes, false, list);
        decoder.advise(ANY_PAGE_SIZE);
        decoder.decodeBody(in);
        SectionFooter.read(in, id, "ram");
        if (!in.atEnd() || list.entries.isEmpty()) {
            throw new ProtocolException("ram setup", in.offset(), "one block list and its footer", "something else");
        }
        return id;
    }

    /** Takes the commands off both ends. A footer ends the last device, and never looks like the end of a PING. */
    private static byte[] devicesOf(byte[] packaged) throws IOException {
        if (packaged.length == 0) {
            return packaged;
        }
        byte[] listen = bytesOf(new Command.PostcopyListen());
        byte[] run = bytesOf(new Command.PostcopyRun());
        int from = listen.length;
        int to = packaged.length - run.length;
        if (to < from || !isAt(packaged, 0, listen)) {
            throw new ProtocolException("package", 0, "command LISTEN first", "something else");
        }
        if (!isAt(packaged, to, run)) {
            throw new ProtocolException("package", to, "command RUN last", "something else");
        }
        byte[] ping = bytesOf(new Command.Ping(0));
        byte[] anyPing = Arrays.copyOf(ping, ping.length - Integer.BYTES);
        while (to - ping.length >= from && isAt(packaged, to - ping.length, anyPing)) {
            to -= ping.length;
        }
        boolean endsWithFooter =
                to - from > SectionFooter.LENGTH && packaged[to - SectionFooter.LENGTH] == SectionFooter.TYPE;
        if (!endsWithFooter || (packaged[from] != FULL && packaged[from] != START)) {
            throw new ProtocolException("package", from, "device sections with footers", "something else");
        }
        return Arrays.copyOfRange(packaged, from, to);
    }

    private static boolean isAt(byte[] bytes, int at, byte[] wanted) {
        return at + wanted.length <= bytes.length
                && Arrays.equals(bytes, at, at + wanted.length, wanted, 0, wanted.length);
    }

    private static byte[] bytesOf(Command command) {
        WireWriter bytes = new WireWriter();
        StreamElementCodec.writeCommand(command, bytes);
        return bytes.toByteArray();
    }

    /** Takes the block list, and nothing else. */
    private static final class BlockList implements RamRecordHandler<BlockListEntry> {
        private List<BlockListEntry> entries = List.of();

        @Override
        public void blockList(List<BlockListEntry> list, long offset) throws ProtocolException {
            if (!entries.isEmpty()) {
                throw new ProtocolException("ram setup", offset, "one block list", "another one");
            }
            entries = List.copyOf(list);
        }

        @Override
        public BlockListEntry block(String name, long offset) throws ProtocolException {
            throw new ProtocolException("ram setup", offset, "no pages", "one of '" + name + "'");
        }

        @Override
        public long lengthBytes(BlockListEntry block) {
            return block.lengthBytes();
        }

        @Override
        public void zeroPage(BlockListEntry block, long address) {
            throw new IllegalStateException("no block was handed out");
        }

        @Override
        public void fullPages(
                BlockListEntry block, long address, int count, ByteBuffer bytes, int position, int stride) {
            throw new IllegalStateException("no block was handed out");
        }

        @Override
        public void deltaPage(BlockListEntry block, long address, ByteBuffer delta, long offset) {
            throw new IllegalStateException("no block was handed out");
        }
    }
}
