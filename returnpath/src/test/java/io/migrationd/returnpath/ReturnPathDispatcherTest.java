package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Return-path dispatcher")
class ReturnPathDispatcherTest {
    private static final Duration NO_TIME = Duration.ZERO;
    private static final Duration LONG = Duration.ofSeconds(10);
    private static final String PONG_1 = "0002 0004 00000001";
    private static final String PONG_2 = "0002 0004 00000002";
    private static final String SHUT_0 = "0001 0004 00000000";

    private final InMemoryPipe pipe = new InMemoryPipe();
    private final RecordingListener listener = new RecordingListener();
    private @Nullable ReturnPathDispatcher started;

    @AfterEach
    void stop() throws IOException {
        if (started != null) {
            started.close();
        }
        assertThat(liveThreads()).isEmpty();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("io.migrationd.returnpath.Fixtures#names")
    void everyCapturedReturnPathPasses(String name) throws Exception {
        pipe.write(ByteBuffer.wrap(Fixtures.read(name)));
        pipe.end();
        start();

        List<String> calls = listener.callsUntilClosed();

        if (name.endsWith("recover-first")) {
            assertThat(calls).endsWith("pong 3", "failed: the return path ended without SHUT at offset 32");
        } else {
            assertThat(calls).endsWith("shut 0", "closed");
        }
    }

    @Test
    void shortRequestsAreForTheBlockNamedLast() throws Exception {
        write("0003 000f 0000000000001000 00001000 02 6d30"); // m0
        write("0004 000c 0000000000002000 00001000");
        write("0003 0014 0000000000000000 00001000 07 70632e62696f73"); // pc.bios
        write("0004 000c 000000000000f000 00001000");
        write(SHUT_0);
        start();

        assertThat(listener.callsUntilClosed())
                .containsExactly(
                        "request m0 0x1000 0x1000",
                        "request m0 0x2000 0x1000",
                        "request pc.bios 0x0 0x1000",
                        "request pc.bios 0xf000 0x1000",
                        "shut 0",
                        "closed");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        short form first   | 0004 000c 0000000000000000 00001000            | rp.request at offset 0: expected a block's name in the first request of a connection, got REQ_PAGES without one
        unknown block      | 0003 000e 0000000000000000 00001000 01 78      | rp.request at offset 0: expected a block of this guest, got 'x'
        start misaligned   | 0003 000f 0000000000000800 00001000 02 6d30    | rp.request at offset 0: expected start and length in multiples of 4096, got start 2048, length 4096
        length misaligned  | 0003 000f 0000000000000000 00001001 02 6d30    | rp.request at offset 0: expected start and length in multiples of 4096, got start 0, length 4097
        behind the block   | 0003 000f 0000000000800000 00001000 02 6d30    | rp.request at offset 0: expected a range within the 8388608 bytes of 'm0', got start 8388608, length 4096
        one page too long  | 0003 000f 00000000007ff000 00002000 02 6d30    | rp.request at offset 0: expected a range within the 8388608 bytes of 'm0', got start 8384512, length 8192
        longer than block  | 0003 000f 0000000000000000 01000000 02 6d30    | rp.request at offset 0: expected a range within the 8388608 bytes of 'm0', got start 0, length 16777216
        at the end of time | 0003 000f 7ffffffffffff000 7ffff000 02 6d30    | rp.request at offset 0: expected a range within the 8388608 bytes of 'm0', got start 9223372036854771712, length 2147479552
        RESUME_ACK 0       | 0006 0004 00000000                             | rp.resume-ack at offset 0: expected value 1, got value 0
        RESUME_ACK -1      | 0006 0004 ffffffff                             | rp.resume-ack at offset 0: expected value 1, got value 4294967295
        unknown type       | 0009 0000                                      | rp.type at offset 0: expected 1 to 7, got 9
        """)
    void rejects(String why, String hex, String message) throws Exception {
        write(hex);
        write(PONG_1);
        ReturnPathDispatcher dispatcher = start();

        assertThat(listener.callsUntilClosed()).as(why).containsExactly("failed: " + message);
        assertThat(dispatcher.failure()).get().isInstanceOf(ProtocolException.class);
    }

    @Test
    void theLastPageOfABlockMayBeAskedFor() throws Exception {
        write("0003 000f 00000000007ff000 00001000 02 6d30");
        write(SHUT_0);
        start();

        assertThat(listener.callsUntilClosed()).startsWith("request m0 0x7ff000 0x1000");
    }

    @Test
    void aBitmapComesOnlyOnceForEachBlock() throws Exception {
        String bitmap = "0005 0003 02 6d30 0000000000000008 ff00000000000000 0123456789abcdef";
        write(bitmap);
        write(bitmap);
        ReturnPathDispatcher dispatcher = start();

        assertThat(listener.callsUntilClosed())
                .containsExactly(
                        "bitmap m0 8 of at most 64 pages",
                        "failed: rp.bitmap.block at offset 35: expected a block whose bitmap was asked for, got 'm0'");
        dispatcher.replies().awaitReceivedBitmap("m0", NO_TIME);
    }

    @Test
    void nothingIsReadAfterShut() throws Exception {
        write(SHUT_0 + "ffff ffff");
        ReturnPathDispatcher dispatcher = start();

        assertThat(listener.callsUntilClosed()).containsExactly("shut 0", "closed");
        assertThat(dispatcher.failure()).isEmpty();
        assertThat(dispatcher.replies().awaitShut(NO_TIME)).isZero();
    }

    @Test
    void aBadShutIsAReplyAndNotAFailure() throws Exception {
        write("0001 0004 00000001");
        ReturnPathDispatcher dispatcher = start();

        assertThat(dispatcher.replies().awaitShut(LONG)).isEqualTo(1);
        assertThat(listener.callsUntilClosed()).containsExactly("shut 1", "closed");
        assertThat(dispatcher.replies().shutStatus()).hasValue(1);
        assertThat(dispatcher.failure()).isEmpty();
    }

    @Test
    void endOfInputWithinAMessageSaysWhere() throws Exception {
        write(PONG_1 + "0002 00");
        pipe.end();
        start();

        assertThat(listener.callsUntilClosed())
                .containsExactly(
                        "pong 1", "failed: rp.length at offset 10: expected 2 bytes, got end of input after 1 bytes");
    }

    @Test
    void theFirstFailureStays() throws Exception {
        pipe.fail(new IOException("Connection reset"));
        ReturnPathDispatcher dispatcher = start();
        listener.callsUntilClosed();
        dispatcher.close();

        assertThat(dispatcher.failure()).get().hasToString("java.io.IOException: Connection reset");
    }

    @Test
    void waitsReturnWhatHasCome() throws Exception {
        write(PONG_2 + PONG_1 + "0007 0000" + "0006 0004 00000001");
        ReturnPathReplies replies = start().replies();

        replies.awaitPong(1, LONG);
        replies.awaitPong(2, LONG);
        replies.awaitSwitchoverAck(LONG);
        replies.awaitResumeAck(LONG);

        assertThat(replies.hasPong(2)).isTrue();
        assertThat(replies.hasPong(3)).isFalse();
        assertThat(replies.isSwitchoverAcked()).isTrue();
        assertThat(replies.shutStatus()).isEmpty();
        assertThat(listener.calls()).containsExactly("pong 2", "pong 1", "switchover-ack", "resume-ack");
    }

    @Test
    void strangePongsAreHarmless() throws Exception {
        write("0002 0004 ffffffff" + "0002 0004 00000100" + PONG_1);
        ReturnPathReplies replies = start().replies();

        replies.awaitPong(1, LONG);

        assertThat(listener.calls()).startsWith("pong -1", "pong 256");
    }

    @Test
    void aWaitEndsWithItsTime() {
        ReturnPathReplies replies = start().replies();

        assertThatThrownBy(() -> replies.awaitPong(1, Duration.ofMillis(1)))
                .isInstanceOf(TimeoutException.class)
                .hasMessage("no PONG 1 within 1 ms");
    }

    @Test
    void aWaiterIsWokenByWhatItWaitsFor() throws Exception {
        ReturnPathReplies replies = start().replies();
        CompletableFuture<Integer> status = inWaiter(() -> replies.awaitShut(LONG));

        write(PONG_1 + SHUT_0);

        assertThat(status.get()).isZero();
    }

    @Test
    void aWaiterFailsWhenTheReturnPathFails() {
        ReturnPathReplies replies = start().replies();
        CompletableFuture<Integer> status = inWaiter(() -> replies.awaitShut(LONG));

        pipe.fail(new IOException("Connection reset"));

        assertThatThrownBy(status::get)
                .cause()
                .hasMessage("no SHUT: the return path failed")
                .cause()
                .hasMessage("Connection reset");
    }

    @Test
    void aWaiterFailsWhenWhatItWaitsForCannotComeAnyMore() throws Exception {
        ReturnPathReplies replies = start().replies();
        CompletableFuture<Integer> pong = inWaiter(() -> {
            replies.awaitPong(1, LONG);
            return 1;
        });

        write("0001 0004 00000001");

        assertThatThrownBy(pong::get)
                .cause()
                .isInstanceOf(IOException.class)
                .hasMessage("no PONG 1: the return path was shut with status 1");
    }

    @Test
    void closeWakesTheThreadAndTheWaiters() throws Exception {
        ReturnPathDispatcher dispatcher = start();
        CompletableFuture<Integer> status = inWaiter(() -> dispatcher.replies().awaitShut(LONG));

        dispatcher.close();

        assertThatThrownBy(status::get).cause().hasMessage("no SHUT: the return path failed");
        assertThat(listener.calls()).containsExactly("failed: this side closed the return path before SHUT");
        assertThat(liveThreads()).isEmpty();
    }

    @Test
    void aBugOfTheListenerFailsTheReturnPath() throws Exception {
        var uncaught = new AtomicReference<@Nullable Throwable>();
        var bug = new IllegalStateException("a bug");
        var closed = new CompletableFuture<Optional<IOException>>();
        write(PONG_1);
        ReturnPathListener broken = new ForwardingListener(listener) {
            @Override
            public void onPong(int value) {
                Thread.currentThread().setUncaughtExceptionHandler((thread, e) -> uncaught.set(e));
                throw bug;
            }

            @Override
            public void onClosed(Optional<IOException> failure) {
                closed.complete(failure);
            }
        };
        started = dispatcher(broken);

        assertThat(closed.get()).get().extracting(Throwable::getCause).isEqualTo(bug);
        started.close();
        assertThat(uncaught.get()).isEqualTo(bug);
        assertThat(started.failure())
                .get()
                .hasToString("java.io.IOException: the return path was ended by a bug of this side");
    }

    @Test
    void aListenerCannotWaitForItsOwnThread() throws Exception {
        var refusal = new CompletableFuture<Throwable>();
        var self = new CompletableFuture<ReturnPathDispatcher>();
        started = dispatcher(new ForwardingListener(listener) {
            @Override
            public void onPong(int value) {
                try {
                    self.join().close();
                } catch (IOException | IllegalStateException e) {
                    refusal.complete(e);
                }
            }
        });
        self.complete(started);
        write(PONG_1);

        assertThat(refusal.get()).hasMessage("thread mig-rp-7 cannot wait for itself");
    }

    private ReturnPathDispatcher start() {
        ReturnPathDispatcher dispatcher = dispatcher(listener);
        started = dispatcher;
        return dispatcher;
    }

    private ReturnPathDispatcher dispatcher(ReturnPathListener to) {
        return ReturnPathDispatcher.start("7", new StreamReader(pipe), pipe, to, Fixtures.LIMITS, Fixtures.BITMAPS);
    }

    private void write(String hex) {
        pipe.write(ByteBuffer.wrap(HexFormat.of().parseHex(hex.replace(" ", ""))));
    }

    private interface Wait {
        int run() throws IOException, TimeoutException, InterruptedException;
    }

    /** Runs {@code wait} in another thread, which does wait when this returns. */
    private static CompletableFuture<Integer> inWaiter(Wait wait) {
        var result = new CompletableFuture<Integer>();
        Thread waiter = Thread.ofPlatform().name("waiter").start(() -> {
            try {
                result.complete(wait.run());
            } catch (IOException | TimeoutException | InterruptedException e) {
                result.completeExceptionally(e);
            }
        });
        await().until(() -> waiter.getState() == Thread.State.TIMED_WAITING);
        return result;
    }

    private static List<String> liveThreads() {
        return Thread.getAllStackTraces().keySet().stream()
                .map(Thread::getName)
                .filter(name -> name.startsWith("mig-"))
                .toList();
    }

    /** Hands every call on; a test overrides the one that it is about. */
    private static class ForwardingListener implements ReturnPathListener {
        private final ReturnPathListener to;

        ForwardingListener(ReturnPathListener to) {
            this.to = to;
        }

        @Override
        public void onShut(int status) {
            to.onShut(status);
        }

        @Override
        public void onPong(int value) {
            to.onPong(value);
        }

        @Override
        public void onPageRequest(String block, long start, int lengthBytes) {
            to.onPageRequest(block, start, lengthBytes);
        }

        @Override
        public void onReceivedBitmap(String block, ReceivedPages pages) {
            to.onReceivedBitmap(block, pages);
        }

        @Override
        public void onResumeAck() {
            to.onResumeAck();
        }

        @Override
        public void onSwitchoverAck() {
            to.onSwitchoverAck();
        }

        @Override
        public void onClosed(Optional<IOException> failure) {
            to.onClosed(failure);
        }
    }
}
