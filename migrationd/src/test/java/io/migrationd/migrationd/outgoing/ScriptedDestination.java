package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/**
 * A destination that reads the stream to its end, notes its elements and does at each what the test says; where it says
 * nothing, it behaves. It stops at the first thing that is no stream, and notes what.
 */
final class ScriptedDestination implements AutoCloseable, RamRecordHandler<String> {
    /** What a test does at an element, on the reading thread. */
    @FunctionalInterface
    interface Action {
        void run(ScriptedDestination destination) throws IOException, InterruptedException;
    }

    static final Action NOTHING = destination -> {};

    private final List<String> seen = new CopyOnWriteArrayList<>();
    private final Map<String, Action> script = new ConcurrentHashMap<>();
    private final LinkedBlockingQueue<MigrationChannel> accepted = new LinkedBlockingQueue<>();
    private final Links.Listener listener;
    private final Thread thread =
            Thread.ofPlatform().name("destination").daemon().unstarted(this::run);
    private volatile @Nullable MigrationChannel link;

    ScriptedDestination(Links links, Path directory) throws IOException {
        script.put("PING 1", d -> d.reply(0x0002, 1));
        script.put("PING 68", d -> d.reply(0x0002, 68));
        script.put("EOF", d -> d.reply(0x0001, 0));
        listener = links.listen(MigrationUri.parse("unix:" + directory.resolve("dst.sock")), accepted::add);
        thread.start();
    }

    /** Replaces what is done at {@code element}, for example {@code PING 68} or {@code END}. */
    ScriptedDestination at(String element, Action action) {
        script.put(element, action);
        return this;
    }

    MigrationUri uri() {
        return listener.uri();
    }

    private MigrationChannel link() {
        return Objects.requireNonNull(link, "nobody connected");
    }

    /** A message of the return path with one word. */
    void reply(int type, int value) throws IOException {
        link().writeSmall(ByteBuffer.allocate(8)
                .putShort((short) type)
                .putShort((short) 4)
                .putInt(value)
                .array());
    }

    void replyBytes(byte[] bytes) throws IOException {
        link().writeSmall(bytes);
    }

    /** Ends the reverse direction only; the source can still write. */
    void endReturnPath() {
        link().shutdownOutput();
    }

    /** As if the host had died. */
    void cut() {
        link().abort(new IOException("cut by the test"));
    }

    /** Elements so far, without PARTs; a last line {@code broken: why} if it was no whole stream. */
    List<String> seen() {
        return List.copyOf(seen);
    }

    /** All elements of a stream that came to its end, its last byte included. */
    boolean hasEnd() {
        return seen.contains("EOF");
    }

    void awaitEnd() throws InterruptedException {
        thread.join(20_000);
        assertThat(thread.isAlive()).as("the stream has ended, seen: %s", seen).isFalse();
    }

    private void run() {
        try {
            MigrationChannel opened = Objects.requireNonNull(accepted.poll(30, TimeUnit.SECONDS), "nobody connected");
            link = opened;
            read(new StreamReader(opened.input()));
        } catch (IOException e) {
            seen.add("broken: " + e.getMessage());
        } catch (InterruptedException e) {
            seen.add("interrupted");
        }
    }

    private void read(StreamReader in) throws IOException, InterruptedException {
        StreamHeader.read(in);
        note("header " + ConfigurationCodec.read(in).configuration().machineType());
        RamSectionDecoder<String> ram = new RamSectionDecoder<>(4096, true, this);
        while (true) {
            switch (StreamElementCodec.read(in)) {
                case StreamElement.Start(long at, int id, String idstr, int instance, int version) -> {
                    ram.decodeBody(in);
                    SectionFooter.read(in, id, idstr);
                    note("START " + idstr);
                }
                case StreamElement.Part(long at, int id) -> {
                    ram.decodeBody(in);
                    SectionFooter.read(in, id, "ram");
                    script.getOrDefault("PART", NOTHING).run(this);
                }
                case StreamElement.End(long at, int id) -> {
                    ram.decodeBody(in);
                    SectionFooter.read(in, id, "ram");
                    note("END");
                }
                case StreamElement.Full(long at, int id, String idstr, int instance, int version) -> {
                    in.skip("body", idstr.equals("cpu") ? 4 : 104);
                    SectionFooter.read(in, id, idstr);
                    note("FULL " + idstr);
                }
                case StreamElement.CommandElement(long at, Command.Ping(int value)) -> note("PING " + value);
                case StreamElement.CommandElement(long at, Command command) ->
                    note(command.getClass().getSimpleName());
                case StreamElement.EndOfStream(long at) -> {
                    seen.add(
                            DescriptionElement.read(in, 1 << 20) instanceof DescriptionElement.Present
                                    ? "description"
                                    : "no description");
                    note("EOF");
                    return;
                }
            }
        }
    }

    private void note(String element) throws IOException, InterruptedException {
        seen.add(element);
        script.getOrDefault(element, NOTHING).run(this);
    }

    @Override
    public void blockList(List<BlockListEntry> blocks, long offset) {
        // Any.
    }

    @Override
    public String block(String name, long offset) {
        return name;
    }

    @Override
    public long lengthBytes(String block) {
        return 1L << 40;
    }

    @Override
    public void zeroPage(String block, long address) {
        // Not kept.
    }

    @Override
    public void fullPages(String block, long address, int count, ByteBuffer bytes, int position, int stride) {
        // Not kept.
    }

    @Override
    public void deltaPage(String block, long address, ByteBuffer delta, long offset) {
        // Not kept.
    }

    @Override
    public void close() {
        listener.close();
        MigrationChannel open = link;
        if (open != null) {
            open.close();
            Links.releaseInput(open);
        }
        thread.interrupt();
    }
}
