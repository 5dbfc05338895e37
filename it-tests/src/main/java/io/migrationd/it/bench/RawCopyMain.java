package io.migrationd.it.bench;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.MappedByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

/**
 * The least that a copy over one TCP connection can cost in Java: {@code send PORT FILE} and {@code receive LENGTH
 * [FILE]}. The sender writes from a mapping, the receiver reads into one buffer and, if there is a file, writes that to
 * it. No protocol: the receiver answers one byte when all has come.
 */
public final class RawCopyMain {
    static final String PORT = "port ";
    static final String RESULT = "result ";

    private static final int PIECE_BYTES = 256 << 10;

    private RawCopyMain() {}

    /** One side of the copy. */
    public static void main(String[] arguments) throws IOException {
        if (arguments[0].equals("send")) {
            send(Integer.parseInt(arguments[1]), Path.of(arguments[2]));
        } else if (arguments.length == 2) {
            receive(Long.parseLong(arguments[1]), (piece, at) -> piece.position(piece.limit()));
        } else {
            try (FileChannel file =
                    FileChannel.open(Path.of(arguments[2]), StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
                receive(Long.parseLong(arguments[1]), file::write);
            }
        }
    }

    private interface Store {
        Object take(ByteBuffer piece, long at) throws IOException;
    }

    private static void send(int port, Path path) throws IOException {
        try (FileChannel file = FileChannel.open(path, StandardOpenOption.READ);
                SocketChannel socket =
                        SocketChannel.open(new InetSocketAddress(InetAddress.getLoopbackAddress(), port))) {
            MappedByteBuffer bytes = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size());
            double cpuBefore = ProcFiles.cpuSeconds("self");
            long start = System.nanoTime();
            while (bytes.position() < bytes.capacity()) {
                bytes.limit(Math.min(bytes.capacity(), bytes.position() + PIECE_BYTES));
                socket.write(bytes);
            }
            if (socket.read(ByteBuffer.allocate(1)) != 1) {
                throw new IOException("the receiver did not answer");
            }
            report(System.nanoTime() - start, cpuBefore);
        }
    }

    private static void receive(long lengthBytes, Store store) throws IOException {
        try (ServerSocketChannel server = ServerSocketChannel.open()) {
            server.bind(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0));
            System.out.println(PORT + server.socket().getLocalPort());
            try (SocketChannel socket = server.accept()) {
                double cpuBefore = ProcFiles.cpuSeconds("self");
                long start = System.nanoTime();
                ByteBuffer buffer = ByteBuffer.allocateDirect(PIECE_BYTES);
                long received = 0;
                while (received < lengthBytes) {
                    int count = socket.read(buffer.clear());
                    if (count < 0) {
                        throw new IOException("the sender ended after " + received + " bytes");
                    }
                    for (buffer.flip(); buffer.hasRemaining(); ) {
                        store.take(buffer, received + buffer.position());
                    }
                    received += count;
                }
                socket.write(ByteBuffer.allocate(1));
                report(System.nanoTime() - start, cpuBefore);
            }
        }
    }

    private static void report(long nanos, double cpuBefore) throws IOException {
        System.out.println(RESULT + nanos / 1e9 + " " + (ProcFiles.cpuSeconds("self") - cpuBefore));
    }
}
