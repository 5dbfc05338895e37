package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class DirectSocketTest {
    private static final int AF_UNIX = 1;
    private static final int SOCK_STREAM = 1;
    private static final long PATIENCE_MILLIS = 10_000;
    private static final NativeFunction SOCKETPAIR =
            NativeFunction.of("socketpair", JAVA_INT, JAVA_INT, JAVA_INT, JAVA_INT, NativeFunction.WORD);

    private final MemorySegment memory = Arena.ofAuto().allocate(64);
    private final List<Descriptor> descriptors = new ArrayList<>();
    private Descriptor ours;
    private Descriptor peers;
    private DirectSocket socket;

    @BeforeEach
    void connect() throws Exception {
        MemorySegment pair = Arena.ofAuto().allocate(JAVA_LONG);
        assertThat(SOCKETPAIR.call(AF_UNIX, SOCK_STREAM, 0, pair.address())).isZero();
        ours = keep(pair.getAtIndex(JAVA_INT, 0));
        peers = keep(pair.getAtIndex(JAVA_INT, 1));
        socket = new DirectSocket(ours.number());
    }

    private Descriptor keep(int number) {
        Descriptor descriptor = new Descriptor(number);
        descriptors.add(descriptor);
        return descriptor;
    }

    @AfterEach
    void disconnect() {
        socket.stop(() -> {});
        descriptors.forEach(Descriptor::close);
    }

    @Test
    void descriptorIsClosedOnlyWhenNobodyReadsAnyMore() throws Exception {
        List<String> order = new ArrayList<>();
        CompletableFuture<Void> reader = new CompletableFuture<>();
        Thread thread = Thread.ofPlatform().start(() -> {
            try {
                int count = socket.receive(memory);
                // The closer runs at the end of receive(), on this thread.
                order.add("read " + count);
                reader.complete(null);
            } catch (IOException e) {
                reader.completeExceptionally(e);
            }
        });
        awaitWaiting(thread);
        socket.stop(() -> {
            order.add(isOpen(ours) && Thread.currentThread() == thread ? "closed by the reader" : "closed too early");
            ours.close();
        });
        reader.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS);
        assertThat(order).containsExactly("closed by the reader", "read 0");
    }

    @Test
    void writeToAPeerThatIsGoneFailsAndClosesNothing() {
        peers.close();
        assertThatThrownBy(() -> socket.send(memory, 8, PATIENCE_MILLIS, _ -> {}))
                .isInstanceOf(ErrnoException.class)
                .hasMessageContaining("EPIPE");
        assertThat(isOpen(ours)).isTrue();
    }

    @Test
    void shutdownWakesTheReaderOfAnotherDescriptorOfTheSameSocket() throws Exception {
        DirectSocket other = new DirectSocket(keep(Libc.dup(ours.number())).number());
        CompletableFuture<Integer> count = new CompletableFuture<>();
        Thread thread = Thread.ofPlatform().start(() -> {
            try {
                count.complete(other.receive(memory));
            } catch (IOException e) {
                count.completeExceptionally(e);
            }
        });
        awaitWaiting(thread);
        socket.shutdown();
        assertThat(count.get(PATIENCE_MILLIS, TimeUnit.MILLISECONDS)).isZero();
        socket.shutdown();
        other.stop(() -> {});
    }

    @Test
    void endsOfAPairHaveNoNames() throws Exception {
        assertThat(StreamSocket.ownPath(ours.number())).isEmpty();
        assertThat(StreamSocket.peerPath(ours.number())).isEmpty();
    }

    @Test
    void afterTheEndNoCallTouchesTheDescriptor() throws Exception {
        socket.stop(ours::close);
        socket.shutdown();
        assertThat(socket.receive(memory)).isZero();
        assertThat(socket.hasPeerEnded()).isTrue();
        assertThatThrownBy(() -> socket.send(memory, 8, PATIENCE_MILLIS, _ -> {}))
                .hasMessageContaining("the connection was closed");
        assertThat(isOpen(peers)).isTrue();
    }

    /** In a native call a Java thread counts as running: nothing tells when it waits. */
    private static void awaitWaiting(Thread thread) throws InterruptedException {
        // Whether it waits yet makes no difference to what is right, only to what is tried.
        thread.join(Duration.ofMillis(50));
        assertThat(thread.isAlive()).isTrue();
    }

    private static boolean isOpen(Descriptor descriptor) {
        try {
            Libc.isCloseOnExec(descriptor.number());
            return true;
        } catch (ErrnoException | IllegalStateException e) {
            return false;
        }
    }
}
