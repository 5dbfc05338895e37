package io.migrationd.migrationd.rescue;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;

/** Reads what a rescue sends of the fixture's guest, checks each page and notes it as {@code m0:3}. */
final class PageNotes implements RamRecordHandler<String> {
    private final List<String> pages = new CopyOnWriteArrayList<>();
    private final RamSectionDecoder<String> decoder = new RamSectionDecoder<>(RescueFixture.PAGE, false, this);

    List<String> pages() {
        return List.copyOf(pages);
    }

    /** Reads to the end of the stream; PINGs are answered. */
    void readToEnd(RawPeer peer, StreamReader in) throws IOException {
        while (true) {
            switch (StreamElementCodec.read(in)) {
                case StreamElement.Part(long _, int id) -> section(in, id);
                case StreamElement.End(long _, int id) -> section(in, id);
                case StreamElement.CommandElement(long _, Command.Ping(int value)) ->
                    peer.send("0002 0004 %08x".formatted(value));
                case StreamElement.EndOfStream _ -> {
                    return;
                }
                case StreamElement other -> throw new AssertionError("unexpected " + other);
            }
        }
    }

    /** One body and its footer. */
    void section(StreamReader in, int id) throws IOException {
        assertThat(id).isEqualTo(7);
        decoder.decodeBody(in);
        SectionFooter.read(in, id, "ram");
    }

    /** A preempt channel, to its end. */
    void channel(StreamReader in) throws IOException {
        decoder.decodeChannel(in);
    }

    @Override
    public void blockList(List<BlockListEntry> entries, long offset) {
        throw new AssertionError("a block list");
    }

    @Override
    public String block(String name, long offset) {
        return name;
    }

    @Override
    public long lengthBytes(String block) {
        return block.equals("m0") ? 4 * RescueFixture.PAGE : RescueFixture.PAGE;
    }

    @Override
    public void zeroPage(String block, long address) {
        note(block, address, new byte[RescueFixture.PAGE]);
    }

    @Override
    public void fullPages(String block, long address, int count, ByteBuffer bytes, int position, int stride) {
        for (int i = 0; i < count; i++) {
            byte[] content = new byte[RescueFixture.PAGE];
            bytes.get(position + i * stride, content);
            note(block, address + (long) i * RescueFixture.PAGE, content);
        }
    }

    private void note(String block, long address, byte[] content) {
        int number = (int) (address / RescueFixture.PAGE);
        assertThat(content).as("%s:%d", block, number).isEqualTo(RescueFixture.page(block, number));
        pages.add(block + ":" + number);
    }

    @Override
    public void deltaPage(String block, long address, ByteBuffer delta, long offset) {
        throw new AssertionError("a delta page");
    }
}
