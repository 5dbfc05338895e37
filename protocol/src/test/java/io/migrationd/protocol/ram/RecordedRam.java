package io.migrationd.protocol.ram;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;

/** RAM in arrays, and a line for each record that came, a batch of pages in as many lines as it has pages. */
final class RecordedRam implements RamRecordHandler<String> {
    static final int PAGE = 1024;

    final List<String> records = new ArrayList<>();
    /** How the pages came, for tests of batches. */
    final List<Integer> batches = new ArrayList<>();

    private final Map<String, byte[]> blocks = new LinkedHashMap<>();

    RecordedRam with(String block, int pages) {
        blocks.put(block, new byte[pages * PAGE]);
        return this;
    }

    byte[] contents(String block) {
        return Objects.requireNonNull(blocks.get(block), block);
    }

    /** Decodes one body and says what came. */
    List<String> decode(StreamReader in) throws IOException {
        new RamSectionDecoder<>(PAGE, true, this).decodeBody(in);
        return records;
    }

    @Override
    public void blockList(List<BlockListEntry> list, long offset) {
        for (BlockListEntry entry : list) {
            records.add("block %s 0x%x/0x%x at %d"
                    .formatted(entry.name(), entry.lengthBytes(), entry.pageSizeBytes(), entry.offset()));
        }
        records.add("list at " + offset);
    }

    @Override
    public String block(String name, long offset) throws ProtocolException {
        if (!blocks.containsKey(name)) {
            throw new ProtocolException("ram.block", offset, "one of " + blocks.keySet(), name);
        }
        return name;
    }

    @Override
    public long lengthBytes(String block) {
        return contents(block).length;
    }

    @Override
    public void zeroPage(String block, long address) {
        records.add("zero %s 0x%x".formatted(block, address));
        MemorySegment.ofArray(contents(block)).asSlice(address, PAGE).fill((byte) 0);
    }

    @Override
    public void fullPages(String block, long address, int count, ByteBuffer bytes, int position, int stride) {
        batches.add(count);
        for (int i = 0; i < count; i++) {
            int to = (int) address + i * PAGE;
            bytes.get(position + i * stride, contents(block), to, PAGE);
            records.add("page %s 0x%x %02x".formatted(block, to, contents(block)[to]));
        }
    }

    @Override
    public void deltaPage(String block, long address, ByteBuffer delta, long offset) throws ProtocolException {
        records.add("delta %s 0x%x %d at %d".formatted(block, address, delta.remaining(), offset));
        XbzrleDelta.apply(delta, offset, MemorySegment.ofArray(contents(block)), address, PAGE);
    }
}
