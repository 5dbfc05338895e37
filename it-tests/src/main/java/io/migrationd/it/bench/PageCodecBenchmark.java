package io.migrationd.it.bench;

import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamRecordWriter;
import io.migrationd.protocol.ram.RamRecordWriter.BlockName;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.ram.XbzrleDelta;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** One operation is one page. */
@State(Scope.Thread)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class PageCodecBenchmark {
    private static final int PAGE_BYTES = 4096;
    private static final int STRIDE = PAGE_BYTES + Long.BYTES;
    private static final int PAGES = 60;
    private static final int NAMED_HEADER_BYTES = Long.BYTES + 1 + "pc.ram".length();
    /** Of each page that a delta describes. */
    private static final int CHANGED_BYTES = 64;

    private final Arena arena = Arena.ofShared();
    private final RamRecordWriter writer = new RamRecordWriter();
    private final BlockName name = new BlockName("pc.ram");
    private final MemorySegment pages = arena.allocate((long) PAGES * STRIDE + NAMED_HEADER_BYTES, Long.BYTES);
    private final MemorySegment zeroes = arena.allocate(PAGE_BYTES, Long.BYTES);
    private final MemorySegment zeroPage = arena.allocate(PAGE_BYTES, Long.BYTES);
    private final MemorySegment before = arena.allocate(PAGE_BYTES, Long.BYTES);
    private final MemorySegment now = arena.allocate(PAGE_BYTES, Long.BYTES);
    private final MemorySegment delta = arena.allocate(PAGE_BYTES, Long.BYTES);
    private final Bodies fullBodies = new Bodies();
    private final Bodies zeroBodies = new Bodies();
    private final Pages received = new Pages();
    private final RamSectionDecoder<Pages> decoder = new RamSectionDecoder<>(PAGE_BYTES, true, received);

    private ByteBuffer deltaBytes = ByteBuffer.allocate(0);

    /** A benchmark, before {@link #prepare}. */
    public PageCodecBenchmark() {}

    /** Fills the pages and composes the bodies to decode. */
    @Setup(Level.Trial)
    public void prepare() throws IOException {
        SplittableRandom random = new SplittableRandom(42);
        for (long at = 0; at + Long.BYTES <= pages.byteSize(); at += Long.BYTES) {
            pages.set(ValueLayout.JAVA_LONG_UNALIGNED, at, random.nextLong());
        }
        MemorySegment.copy(pages, 0, before, 0, PAGE_BYTES);
        now.copyFrom(before);
        for (int i = 0; i < CHANGED_BYTES; i++) {
            int at = random.nextInt(PAGE_BYTES);
            now.set(ValueLayout.JAVA_BYTE, at, (byte) ~before.get(ValueLayout.JAVA_BYTE, at));
        }
        deltaBytes = delta.asByteBuffer().limit(encodeDelta());
        fullBodies.set(fullBody());
        zeroBodies.set(zeroBody());
        // The first body names the block; from now on the bodies may leave the name out.
        decoder.decodeBody(StreamReader.of(namedBody()));
    }

    /** Gives the memory back. */
    @TearDown
    public void free() {
        arena.close();
    }

    /** The sender's part: headers around pages that lie in their slots. */
    @Benchmark
    @OperationsPerInvocation(PAGES)
    public long writeFullPages() {
        long position = 0;
        for (int i = 0; i < PAGES; i++) {
            position = writer.header(pages, position, name, (long) i * PAGE_BYTES, RamFlags.PAGE) + PAGE_BYTES;
        }
        return position;
    }

    /** Records of pages that are known to be zero. */
    @Benchmark
    @OperationsPerInvocation(PAGES)
    public long writeZeroPages() {
        long position = 0;
        for (int i = 0; i < PAGES; i++) {
            position = writer.zeroPage(pages, position, name, (long) i * PAGE_BYTES);
        }
        return position;
    }

    /** The receiver's part without the write to guest memory. */
    @Benchmark
    @OperationsPerInvocation(PAGES)
    public long decodeFullPages() throws IOException {
        decoder.decodeBody(fullBodies.reader());
        return received.full;
    }

    /** The same for zero pages. */
    @Benchmark
    @OperationsPerInvocation(PAGES)
    public long decodeZeroPages() throws IOException {
        decoder.decodeBody(zeroBodies.reader());
        return received.zero;
    }

    /** Finding out that a page is zero. */
    @Benchmark
    public long compareZeroPage() {
        return MemorySegment.mismatch(zeroPage, 0, PAGE_BYTES, zeroes, 0, PAGE_BYTES);
    }

    /** A page with few changed bytes. */
    @Benchmark
    public int encodeDelta() {
        return XbzrleDelta.encode(before, 0, now, 0, PAGE_BYTES, delta, 0, PAGE_BYTES);
    }

    /** Puts those bytes into a page. */
    @Benchmark
    public MemorySegment applyDelta() throws ProtocolException {
        XbzrleDelta.apply(deltaBytes, 0, now, 0, PAGE_BYTES);
        return now;
    }

    private byte[] namedBody() {
        MemorySegment body = arena.allocate(1024);
        long end = new RamRecordWriter().zeroPage(body, 0, name, 0);
        return toBytes(body, RamRecordWriter.endOfSection(body, end));
    }

    private byte[] fullBody() {
        writer.zeroPage(arena.allocate(1024), 0, name, 0);
        return toBytes(pages, RamRecordWriter.endOfSection(pages, writeFullPages()));
    }

    private byte[] zeroBody() {
        return toBytes(pages, RamRecordWriter.endOfSection(pages, writeZeroPages()));
    }

    private static byte[] toBytes(MemorySegment segment, long length) {
        return segment.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
    }

    /** A stream that repeats one body for ever; one reader, as a channel has. */
    private static final class Bodies {
        private ByteBuffer body = ByteBuffer.allocate(0);
        private final StreamReader reader = new StreamReader(this::next);

        void set(byte[] bytes) {
            body = ByteBuffer.allocateDirect(bytes.length).put(bytes);
        }

        StreamReader reader() {
            return reader;
        }

        private ByteBuffer next() {
            return body.clear();
        }
    }

    /** Takes pages and does nothing with them. */
    private static final class Pages implements RamRecordHandler<Pages> {
        private long full;
        private long zero;

        @Override
        public void blockList(List<BlockListEntry> blocks, long offset) {
            throw new IllegalStateException("no block list is sent");
        }

        @Override
        public Pages block(String blockName, long offset) {
            return this;
        }

        @Override
        public long lengthBytes(Pages block) {
            return 1L << 30;
        }

        @Override
        public void zeroPage(Pages block, long address) {
            zero++;
        }

        @Override
        public void fullPages(Pages block, long address, int count, ByteBuffer bytes, int position, int stride) {
            full += count;
        }

        @Override
        public void deltaPage(Pages block, long address, ByteBuffer deltaPage, long offset) {
            throw new IllegalStateException("no delta is sent");
        }
    }
}
