package io.migrationd.migrationd.link;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.IOException;
import java.io.InterruptedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Receive queue")
class ReceiveQueueTest {
    private static final int PIECE = 256 * 1024;
    private final AtomicInteger resumed = new AtomicInteger();
    private final ReceiveQueue queue = new ReceiveQueue(resumed::incrementAndGet);

    private static ByteBuf piece() {
        return Unpooled.directBuffer(PIECE).writeZero(PIECE);
    }

    @Test
    void handsOutWhatCameInOrder() throws IOException {
        queue.offer(Unpooled.copiedBuffer(new byte[] {1, 2}));
        queue.offer(Unpooled.copiedBuffer(new byte[] {3}));
        queue.end(null);

        assertThat(queue.next()).isEqualTo(ByteBuffer.wrap(new byte[] {1, 2}));
        assertThat(queue.next()).isEqualTo(ByteBuffer.wrap(new byte[] {3}));
        assertThat(queue.next()).isNull();
        assertThat(queue.next()).isNull();
        assertThat(queue.receivedBytes()).isEqualTo(3);
    }

    @Test
    void whatComesBehindADroppedQueueIsNotHandedOut() {
        queue.offer(piece());
        queue.fail(new IOException("aborted"));
        ByteBuf late = piece();

        assertThat(queue.offer(late)).isFalse();
        assertThat(late.refCnt()).isZero();
        assertThatThrownBy(queue::next).isInstanceOf(IOException.class).hasRootCauseMessage("aborted");
    }

    @Test
    void stopsReadingAboveTwoMebibytesAndGoesOnBelowOne() throws IOException {
        List<Boolean> goOn = new ArrayList<>();
        for (int i = 0; i < 9; i++) {
            goOn.add(queue.offer(piece()));
        }
        assertThat(goOn)
                .as("8 pieces are 2 MiB")
                .containsExactly(true, true, true, true, true, true, true, true, false);

        for (int i = 0; i < 5; i++) {
            queue.next();
        }
        assertThat(resumed).as("1 MiB is left").hasValue(0);
        queue.next();
        assertThat(resumed).hasValue(1);
        queue.next();
        assertThat(resumed).hasValue(1);
        queue.close();
    }

    /** What was on its way when reading stopped must not make the queue forget that it stopped. */
    @Test
    void aLateBufferDoesNotEndThePause() throws IOException {
        for (int i = 0; i < 9; i++) {
            queue.offer(piece());
        }
        queue.next();
        queue.next();

        assertThat(queue.offer(Unpooled.copiedBuffer(new byte[] {1}))).isFalse();

        for (int i = 0; i < 8; i++) {
            queue.next();
        }
        assertThat(resumed).hasValue(1);
        queue.close();
    }

    @Test
    void givesABufferBackWhenTheNextIsAskedFor() throws IOException {
        ByteBuf first = piece();
        ByteBuf second = piece();
        queue.offer(first);
        queue.offer(second);

        queue.next();
        assertThat(first.refCnt()).isEqualTo(1);
        queue.next();
        assertThat(first.refCnt()).isZero();
        queue.close();
        assertThat(second.refCnt()).isZero();
    }

    @Test
    void whatCameBeforeTheLinkBrokeCanStillBeRead() throws IOException {
        queue.offer(Unpooled.copiedBuffer(new byte[] {1}));
        queue.end(new IOException("reset"));

        assertThat(queue.next()).isEqualTo(ByteBuffer.wrap(new byte[] {1}));
        assertThatThrownBy(queue::next)
                .isInstanceOf(IOException.class)
                .hasMessage("no more comes from the peer")
                .hasRootCauseMessage("reset");
    }

    @Test
    void anAbortDropsWhatCame() {
        ByteBuf dropped = piece();
        queue.offer(dropped);

        queue.fail(new IOException("cancelled"));

        assertThat(dropped.refCnt()).isZero();
        assertThatThrownBy(queue::next).hasRootCauseMessage("cancelled");
    }

    @Test
    void theFirstCauseStays() {
        queue.end(new IOException("first"));
        queue.end(new IOException("second"));
        queue.fail(new IOException("third"));

        assertThatThrownBy(queue::next).hasRootCauseMessage("first");
    }

    @Test
    void aNormalEndIsNoFailureLaterOn() throws IOException {
        queue.end(null);
        queue.end(new IOException("closed after the end"));

        assertThat(queue.next()).isNull();
    }

    @Test
    void afterCloseNothingIsKept() throws IOException {
        queue.close();
        ByteBuf late = piece();

        assertThat(queue.offer(late)).isFalse();

        assertThat(late.refCnt()).isZero();
        assertThat(queue.next()).isNull();
    }

    @Test
    void anInterruptEndsTheWait() throws InterruptedException {
        AtomicReference<Throwable> thrown = new AtomicReference<>();
        Thread reader = Thread.ofPlatform().start(() -> {
            try {
                queue.next();
            } catch (IOException e) {
                thrown.set(e);
            }
        });
        await().until(() -> reader.getState() == Thread.State.WAITING);

        reader.interrupt();
        reader.join(10_000);

        assertThat(thrown.get()).isInstanceOf(InterruptedIOException.class);
    }
}
