package io.migrationd.it.scenario;

import io.migrationd.migrationd.rescue.KeptParts;
import io.migrationd.protocol.ram.BlockListEntry;
import io.migrationd.protocol.ram.RamRecordHandler;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * Between two QEMUs, on Unix sockets: it passes every connection on, remembers what the source says on the first one,
 * and can keep that to itself.
 */
@SuppressWarnings("try") // A test may be interrupted while it ends.
final class RecordingRelay implements AutoCloseable {
    private static final int PAGE_BYTES = 4096;
    private static final int BUFFER_BYTES = 64 << 10;

    private final Path path;
    private final Path target;
    private final ServerSocketChannel server;
    private final Thread acceptor;
    private final List<Thread> pumps = new ArrayList<>();
    private final List<SocketChannel> sockets = new ArrayList<>();
    private final ByteArrayOutputStream recorded = new ByteArrayOutputStream();
    private volatile boolean holding;
    private boolean cut;

    private RecordingRelay(Path path, Path target) throws IOException {
        this.path = path;
        this.target = target;
        this.server = ServerSocketChannel.open(StandardProtocolFamily.UNIX).bind(UnixDomainSocketAddress.of(path));
        this.acceptor = Thread.ofPlatform().name("relay-accept").unstarted(this::accept);
    }

    static RecordingRelay start(Path path, Path target) throws IOException {
        RecordingRelay relay = new RecordingRelay(path, target);
        relay.acceptor.start();
        return relay;
    }

    String uri() {
        return "unix:" + path;
    }

    /** From now on the destination hears nothing more of the first connection; it is still remembered. */
    void hold() {
        holding = true;
    }

    /** Closes all connections, and takes no more. */
    synchronized void cut() {
        cut = true;
        sockets.forEach(RecordingRelay::shut);
    }

    private void accept() {
        try {
            boolean first = true;
            while (true) {
                SocketChannel source = server.accept();
                SocketChannel destination = SocketChannel.open(UnixDomainSocketAddress.of(target));
                boolean main = first;
                first = false;
                synchronized (this) {
                    sockets.add(source);
                    sockets.add(destination);
                    if (cut) {
                        cut();
                    }
                    pump("relay-forward", () -> pass(source, destination, main));
                    pump("relay-reverse", () -> pass(destination, source, false));
                }
            }
        } catch (IOException e) {
            cut();
        }
    }

    private void pump(String name, Runnable body) {
        pumps.add(Thread.ofPlatform().name(name).start(body));
    }

    private void pass(SocketChannel from, SocketChannel to, boolean record) {
        ByteBuffer buffer = ByteBuffer.allocate(BUFFER_BYTES);
        try {
            while (from.read(buffer) >= 0) {
                buffer.flip();
                if (record) {
                    synchronized (recorded) {
                        recorded.write(buffer.array(), 0, buffer.limit());
                    }
                }
                while (buffer.hasRemaining() && !(record && holding)) {
                    to.write(buffer);
                }
                buffer.clear();
            }
        } catch (IOException e) {
            // One of both is gone: the other has to know.
        }
        shut(from);
        shut(to);
    }

    private static void shut(SocketChannel socket) {
        try {
            socket.close();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** What was said so far. */
    byte[] recorded() {
        synchronized (recorded) {
            return recorded.toByteArray();
        }
    }

    /** The parts that a rescue needs; empty as long as the package is not whole. */
    Optional<KeptParts> parts() throws IOException {
        byte[] bytes = recorded();
        StreamReader in = StreamReader.of(bytes);
        try {
            return Optional.of(parse(in, bytes));
        } catch (ProtocolException e) {
            if (in.atEnd() || String.valueOf(e.getMessage()).contains("end of input")) {
                return Optional.empty();
            }
            throw e;
        }
    }

    private static KeptParts parse(StreamReader in, byte[] bytes) throws IOException {
        StreamHeader.read(in);
        ConfigurationCodec.read(in);
        byte[] prologue = Arrays.copyOf(bytes, (int) in.offset());
        byte[] ramSetup = {};
        RamSectionDecoder<Long> decoder = new RamSectionDecoder<>(PAGE_BYTES, false, new Skipping());
        while (true) {
            switch (StreamElementCodec.read(in)) {
                case StreamElement.Start(long at, int id, String name, int _, int _) -> {
                    decoder.decodeBody(in);
                    SectionFooter.read(in, id, name);
                    ramSetup = Arrays.copyOfRange(bytes, (int) at, (int) in.offset());
                }
                case StreamElement.Part(long _, int id) -> {
                    decoder.decodeBody(in);
                    SectionFooter.read(in, id, "ram");
                }
                case StreamElement.CommandElement(long _, Command.Packaged(long size)) -> {
                    return new KeptParts(prologue, ramSetup, in.readBytes("package", size, Integer.MAX_VALUE));
                }
                case StreamElement.CommandElement _ -> {}
                case StreamElement other -> throw new IOException("unexpected " + other);
            }
        }
    }

    @Override
    public void close() throws Exception {
        server.close();
        cut();
        acceptor.join();
        for (Thread pump : pumps) {
            pump.join();
        }
    }

    /** Blocks are their lengths. */
    private static final class Skipping implements RamRecordHandler<Long> {
        private final Map<String, Long> lengths = new HashMap<>();

        @Override
        public void blockList(List<BlockListEntry> entries, long offset) {
            entries.forEach(entry -> lengths.put(entry.name(), entry.lengthBytes()));
        }

        @Override
        public Long block(String name, long offset) throws ProtocolException {
            Long length = lengths.get(name);
            if (length == null) {
                throw new ProtocolException("ram.block", offset, "an announced block", name);
            }
            return length;
        }

        @Override
        public long lengthBytes(Long block) {
            return block;
        }

        @Override
        public void zeroPage(Long block, long address) {
            // Skipped.
        }

        @Override
        public void fullPages(Long block, long address, int count, ByteBuffer bytes, int position, int stride) {
            // Skipped.
        }

        @Override
        public void deltaPage(Long block, long address, ByteBuffer delta, long offset) {
            // Skipped.
        }
    }
}
