package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.BitSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * A destination of postcopy: keeps what it gets and knows what it has, notes the elements of every connection and does
 * at each what the test says; where it says nothing, it behaves. It takes connection after connection, as one that is
 * paused does. Pages of a connection that is cut are kept.
 */
final class PostcopyPeer implements AutoCloseable {
    static final int PAGE = 4096;

    /** What a test does at an element, on the thread that reads it. */
    @FunctionalInterface
    interface Action {
        void run(PostcopyPeer peer) throws IOException, InterruptedException;
    }

    static final Action NOTHING = peer -> {};

    private static final int SHUT = 1;
    private static final int PONG = 2;
    private static final int RESUME_ACK = 6;

    private final Links links;
    private final MigrationUri uri;
    private final boolean preempt;
    private volatile boolean oldStyle;
    private final LinkedBlockingQueue<MigrationChannel> accepted = new LinkedBlockingQueue<>();
    private final Map<String, Action> script = new ConcurrentHashMap<>();
    private final Thread thread =
            Thread.ofPlatform().name("destination").daemon().unstarted(this::run);
    private volatile Links.@Nullable Listener listener;
    private volatile @Nullable MigrationChannel main;
    private volatile @Nullable MigrationChannel urgent;
    private volatile long packageEnd;

    // Guarded by this.
    private final List<String> seen = new ArrayList<>();
    private final List<String> mainPages = new ArrayList<>();
    private final List<String> urgentPages = new ArrayList<>();
    private final Map<String, Memory> memory = new LinkedHashMap<>();
    private boolean postcopy;
    private int connections;

    private static final class Memory {
        final byte[] bytes;
        final BitSet received;

        Memory(long lengthBytes) {
            bytes = new byte[Math.toIntExact(lengthBytes)];
            received = new BitSet(bytes.length / PAGE);
        }
    }

    PostcopyPeer(Links links, MigrationUri uri, boolean preempt) throws IOException {
        this.links = links;
        this.preempt = preempt;
        Links.Listener open = links.listen(uri, accepted::add);
        this.listener = open;
        this.uri = open.uri();
        thread.start();
    }

    MigrationUri uri() {
        return uri;
    }

    /** Replaces what is done at {@code element}, of connection {@code N} only if it is {@code N: element}. */
    PostcopyPeer at(String element, Action action) {
        script.put(element, action);
        return this;
    }

    /** Reads nothing of a connection before the second one is there. */
    PostcopyPeer oldStyle() {
        oldStyle = true;
        return this;
    }

    /** Takes the place of {@code other}, with what that has. */
    void goesOnFor(PostcopyPeer other) {
        synchronized (other) {
            synchronized (this) {
                memory.putAll(other.memory);
                postcopy = true;
            }
        }
    }

    /** Nobody can connect from now on. */
    void stopListening() {
        Links.Listener open = listener;
        if (open != null) {
            open.close();
        }
    }

    /** At the same address again. */
    void listenAgain() throws IOException {
        listener = links.listen(uri, accepted::add);
    }

    /** Asks for a host page. */
    void request(String block, long page, int pages) throws IOException {
        ByteBuffer message = ByteBuffer.allocate(4 + 13 + block.length());
        message.putShort((short) 3).putShort((short) (13 + block.length()));
        message.putLong(page * PAGE).putInt(pages * PAGE).put((byte) block.length());
        block.chars().forEach(c -> message.put((byte) c));
        main().writeSmall(message.array());
    }

    void shut(int status) throws IOException {
        reply(SHUT, status);
    }

    void pong(int value) throws IOException {
        reply(PONG, value);
    }

    void resumeAck() throws IOException {
        reply(RESUME_ACK, 1);
    }

    void reply(int type, int value) throws IOException {
        main().writeSmall(ByteBuffer.allocate(8)
                .putShort((short) type)
                .putShort((short) 4)
                .putInt(value)
                .array());
    }

    /** Says what of the block is here. */
    void bitmap(String block) throws IOException {
        main().writeSmall(bitmapMessage(block));
    }

    byte[] bitmapMessage(String block) {
        byte[] bits;
        int words;
        synchronized (this) {
            Memory of = memory(block);
            bits = of.received.toByteArray();
            words = (of.bytes.length / PAGE + 63) / 64;
        }
        ByteBuffer message = ByteBuffer.allocate(4 + 1 + block.length() + 8 + words * 8 + 8);
        message.putShort((short) 5).putShort((short) (1 + block.length())).put((byte) block.length());
        block.chars().forEach(c -> message.put((byte) c));
        message.putLong(words * 8L);
        message.put(message.position(), bits).position(message.position() + words * 8);
        message.putLong(0x0123456789abcdefL);
        return message.array();
    }

    /** As if the host had died. */
    void cut() {
        main().abort(new IOException("cut by the test"));
    }

    /** Ends the reverse direction only. */
    void endReturnPath() {
        main().shutdownOutput();
    }

    void cutUrgent() {
        Objects.requireNonNull(urgent, "no second connection").abort(new IOException("cut by the test"));
    }

    /** How many bytes of the package have not come yet; all before it is announced. */
    long bytesOfPackageLeft() {
        return packageEnd == 0 ? Long.MAX_VALUE : packageEnd - main().bytesReceived();
    }

    MigrationChannel main() {
        return Objects.requireNonNull(main, "nobody connected");
    }

    /** Elements of all connections, without precopy's PARTs. */
    synchronized List<String> seen() {
        return List.copyOf(seen);
    }

    /** Elements of connection {@code number}, counted from 1. */
    synchronized List<String> seen(int number) {
        int from = indexOf(number);
        int to = indexOf(number + 1);
        return from < 0 ? List.of() : List.copyOf(seen.subList(from + 1, to < 0 ? seen.size() : to));
    }

    private int indexOf(int number) {
        return seen.indexOf("connection " + number);
    }

    /** Pages of postcopy that came on main channels, in order: {@code m0:3}. */
    synchronized List<String> mainPages() {
        return List.copyOf(mainPages);
    }

    /** Pages that came on second channels. */
    synchronized List<String> urgentPages() {
        return List.copyOf(urgentPages);
    }

    /** Numbers of the pages that are here. */
    synchronized BitSet received(String block) {
        return (BitSet) memory(block).received.clone();
    }

    synchronized byte[] contents(String block) {
        return memory(block).bytes.clone();
    }

    synchronized int connections() {
        return connections;
    }

    private Memory memory(String block) {
        return Objects.requireNonNull(memory.get(block), block);
    }

    private void run() {
        try {
            while (true) {
                MigrationChannel opened = accepted.take();
                main = opened;
                try {
                    int number;
                    synchronized (this) {
                        number = ++connections;
                    }
                    String element = "connection " + number;
                    act(element);
                    if (preempt && oldStyle && !script.containsKey(element)) {
                        takeUrgent();
                    }
                    new Reader(opened).read();
                } catch (IOException e) {
                    note("broken");
                }
            }
        } catch (InterruptedException e) {
            // The test is over.
        }
    }

    private synchronized void note(String element) {
        seen.add(element);
    }

    private void act(String element) throws IOException, InterruptedException {
        Action numbered;
        synchronized (this) {
            seen.add(element);
            numbered = script.get(connections + ": " + element);
        }
        Action action = numbered != null ? numbered : script.get(element);
        if (action != null) {
            action.run(this);
        } else {
            behave(element);
        }
    }

    private void behave(String element) throws IOException {
        if (element.startsWith("PING ")) {
            pong(Integer.parseInt(element.substring(5)));
        } else if (element.startsWith("RECV_BITMAP ")) {
            bitmap(element.substring(12));
        } else if (element.equals("RESUME")) {
            resumeAck();
        } else if (element.equals("EOF")) {
            shut(0);
        }
    }

    /** Reads one main connection. */
    private final class Reader implements RamRecordHandler<String> {
        private final StreamReader in;
        private final RamSectionDecoder<String> ram = new RamSectionDecoder<>(PAGE, true, this);

        Reader(MigrationChannel channel) {
            in = new StreamReader(channel.input());
        }

        void read() throws IOException, InterruptedException {
            boolean first;
            synchronized (PostcopyPeer.this) {
                first = !postcopy;
            }
            if (first) {
                StreamHeader.read(in);
                act("header " + ConfigurationCodec.read(in).configuration().machineType());
            }
            elements(in);
        }

        private boolean elements(StreamReader from) throws IOException, InterruptedException {
            while (true) {
                switch (StreamElementCodec.read(from)) {
                    case StreamElement.Start(long at, int id, String idstr, int instance, int version) -> {
                        ram.decodeBody(from);
                        SectionFooter.read(from, id, idstr);
                        act("START " + idstr);
                    }
                    case StreamElement.Part(long at, int id) -> {
                        ram.decodeBody(from);
                        SectionFooter.read(from, id, "ram");
                        part();
                    }
                    case StreamElement.End(long at, int id) -> {
                        ram.decodeBody(from);
                        SectionFooter.read(from, id, "ram");
                        act("END");
                    }
                    case StreamElement.Full(long at, int id, String idstr, int instance, int version) -> {
                        from.skip("body", idstr.equals("cpu") ? 4 : 104);
                        SectionFooter.read(from, id, idstr);
                        act("FULL " + id + " " + idstr);
                    }
                    case StreamElement.EndOfStream(long at) -> {
                        act("EOF");
                        while (!from.atEnd()) {
                            if (StreamElementCodec.read(from)
                                    instanceof StreamElement.CommandElement(long behind, Command.Ping(int value))) {
                                note("PING " + value);
                            }
                        }
                        note("end of connection");
                        return true;
                    }
                    case StreamElement.CommandElement(long at, Command command) -> {
                        if (command(command, from)) {
                            return true;
                        }
                    }
                }
            }
        }

        private void part() throws IOException, InterruptedException {
            boolean count;
            synchronized (PostcopyPeer.this) {
                count = postcopy && !seen.getLast().equals("PART");
            }
            if (count) {
                note("PART");
            }
            Action action = script.get("PART");
            if (action != null && count) {
                action.run(PostcopyPeer.this);
            }
        }

        /** True if the command ends its reader. */
        private boolean command(Command command, StreamReader from) throws IOException, InterruptedException {
            switch (command) {
                case Command.Ping(int value) -> act("PING " + value);
                case Command.PostcopyAdvise(var sizes) -> {
                    ram.advise(sizes.orElseThrow().hostPageSizeSummary());
                    act("ADVISE %x %x"
                            .formatted(
                                    sizes.get().hostPageSizeSummary(),
                                    sizes.get().targetPageSize()));
                }
                case Command.PostcopyRamDiscard(String block, List<Command.Range> ranges) -> {
                    synchronized (PostcopyPeer.this) {
                        ranges.forEach(r -> memory(block).received.clear((int) (r.start() / PAGE), (int)
                                ((r.start() + r.length()) / PAGE)));
                    }
                    act("DISCARD " + block + " "
                            + ranges.stream()
                                    .map(r -> r.start() / PAGE + "+" + r.length() / PAGE)
                                    .collect(Collectors.joining(",")));
                }
                case Command.Packaged(long size) -> {
                    packageEnd = from.offset() + size;
                    act("PACKAGED " + size);
                    if (preempt && !oldStyle) {
                        takeUrgent();
                    }
                    byte[] blob = from.readBytes("package", size, 1 << 20);
                    elements(StreamReader.of(blob));
                }
                case Command.PostcopyListen() -> act("LISTEN");
                case Command.PostcopyRun() -> {
                    synchronized (PostcopyPeer.this) {
                        postcopy = true;
                    }
                    act("RUN");
                    return true;
                }
                case Command.RecvBitmap(String block) -> act("RECV_BITMAP " + block);
                case Command.PostcopyResume() -> {
                    if (preempt && !oldStyle) {
                        takeUrgent();
                    }
                    act("RESUME");
                }
                default -> act(command.getClass().getSimpleName());
            }
            return false;
        }

        @Override
        public void blockList(List<BlockListEntry> blocks, long offset) {
            synchronized (PostcopyPeer.this) {
                blocks.forEach(b -> {
                    memory.put(b.name(), new Memory(b.lengthBytes()));
                    if (b.pageSizeBytes() != 0) {
                        seen.add("block " + b.name() + " of pages of " + b.pageSizeBytes());
                    }
                });
            }
        }

        @Override
        public String block(String name, long offset) {
            return name;
        }

        @Override
        public long lengthBytes(String block) {
            synchronized (PostcopyPeer.this) {
                return memory(block).bytes.length;
            }
        }

        @Override
        public void zeroPage(String block, long address) {
            store(mainPages, block, address, new byte[PAGE]);
        }

        @Override
        public void fullPages(String block, long address, int count, ByteBuffer bytes, int position, int stride) {
            for (int i = 0; i < count; i++) {
                byte[] page = new byte[PAGE];
                bytes.get(position + i * stride, page);
                store(mainPages, block, address + (long) i * PAGE, page);
            }
        }

        @Override
        public void deltaPage(String block, long address, ByteBuffer delta, long offset) throws IOException {
            throw new IOException("a delta");
        }
    }

    private synchronized void store(List<String> pages, String block, long address, byte[] page) {
        Memory to = memory(block);
        System.arraycopy(page, 0, to.bytes, (int) address, PAGE);
        to.received.set((int) (address / PAGE));
        if (postcopy) {
            pages.add(block + ":" + address / PAGE);
        }
    }

    private void takeUrgent() throws InterruptedException {
        MigrationChannel opened =
                Objects.requireNonNull(accepted.poll(20, TimeUnit.SECONDS), "no second connection came");
        urgent = opened;
        note("second connection");
        Thread.ofPlatform().name("destination-urgent").daemon().start(() -> readUrgent(opened));
    }

    private void readUrgent(MigrationChannel channel) {
        StreamReader in = new StreamReader(channel.input());
        String block = "";
        try {
            while (!in.atEnd()) {
                long word = in.readLong("record");
                if ((word & (RamFlags.CONTINUE | RamFlags.EOS)) == 0) {
                    block = in.readName("block");
                }
                int flag = (int) word & (PAGE - 1) & ~RamFlags.CONTINUE;
                if (flag == RamFlags.EOS) {
                    note("end mark");
                    break;
                }
                byte[] page = new byte[PAGE];
                if (flag == RamFlags.ZERO) {
                    in.skip("fill", 1);
                } else {
                    assertThat(flag).isEqualTo(RamFlags.PAGE);
                    page = in.readBytes("page", PAGE, PAGE);
                }
                store(urgentPages, block, word & -PAGE, page);
            }
            note("second connection closed");
        } catch (IOException e) {
            note("second connection broken");
        }
    }

    @Override
    public void close() {
        stopListening();
        thread.interrupt();
        for (MigrationChannel open : new MigrationChannel[] {main, urgent}) {
            if (open != null) {
                open.abort(new IOException("the test is over"));
                Links.releaseInput(open);
            }
        }
    }
}
