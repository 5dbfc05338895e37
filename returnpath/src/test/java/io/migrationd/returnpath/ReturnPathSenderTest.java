package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReturnPathMessage.Pong;
import io.migrationd.returnpath.ReturnPathMessage.ReceivedBitmap;
import io.migrationd.returnpath.ReturnPathMessage.RequestPages;
import io.migrationd.returnpath.ReturnPathMessage.RequestPagesOf;
import io.migrationd.returnpath.ReturnPathMessage.ResumeAck;
import io.migrationd.returnpath.ReturnPathMessage.Shut;
import io.migrationd.returnpath.ReturnPathMessage.SwitchoverAck;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Return-path sender")
class ReturnPathSenderTest {
    private static final String REQUEST_OF_M0 = "0003000f" + "0000000000001000" + "00001000" + "026d30";
    private static final String REQUEST = "0004000c" + "0000000000002000" + "00001000";

    private final Recorder connection = new Recorder();
    private final ReturnPathSender sender = new ReturnPathSender();

    @Test
    void everyMessageIsOneWrite() throws IOException {
        sender.attach(connection);

        sender.sendSwitchoverAck();
        sender.sendPong(0x42);
        sender.requestPages("m0", 0x1000, 0x1000);
        sender.sendResumeAck();
        sender.sendShut(Shut.FAILED);

        assertThat(connection.writes)
                .containsExactly("00070000", "0002000400000042", REQUEST_OF_M0, "0006000400000001", "0001000400000001");
    }

    @Test
    void theBlockIsNamedWhenItChangesAndFirstOnEachConnection() throws IOException {
        sender.attach(connection);
        sender.requestPages("m0", 0x1000, 0x1000);
        sender.requestPages("m0", 0x2000, 0x1000);
        sender.requestPages("a", 0, 0x1000);
        sender.requestPages("m0", 0x1000, 0x1000);
        sender.sendPong(1);
        sender.requestPages("m0", 0x2000, 0x1000);
        sender.attach(connection);
        sender.requestPages("m0", 0x1000, 0x1000);

        assertThat(connection.writes)
                .containsExactly(
                        REQUEST_OF_M0,
                        REQUEST,
                        "0003000e" + "0000000000000000" + "00001000" + "0161",
                        REQUEST_OF_M0,
                        "0002000400000001",
                        REQUEST,
                        REQUEST_OF_M0);
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("io.migrationd.returnpath.Fixtures#names")
    void sendsWhatQemuSent(String name) throws IOException {
        byte[] captured = Fixtures.read(name);
        sender.attach(connection);

        StreamReader in = StreamReader.of(captured);
        String block = "";
        while (!in.atEnd()) {
            switch (ReturnPathCodec.decode(in, Fixtures.BITMAPS)) {
                case Shut(int status) -> sender.sendShut(status);
                case Pong(int value) -> sender.sendPong(value);
                case RequestPagesOf(String named, long start, int lengthBytes) -> {
                    block = named;
                    sender.requestPages(block, start, lengthBytes);
                }
                case RequestPages(long start, int lengthBytes) -> sender.requestPages(block, start, lengthBytes);
                case ReceivedBitmap(String of, ReceivedPages pages) -> sender.sendReceivedBitmap(of, pages);
                case ResumeAck(int _) -> sender.sendResumeAck();
                case SwitchoverAck() -> sender.sendSwitchoverAck();
            }
        }

        assertThat(connection.all()).isEqualTo(captured);
    }

    @Test
    void aLargeBitmapIsWrittenInPieces() throws IOException {
        ReceivedPages pages =
                ReceivedPages.ofWords(new SplittableRandom(1).longs(20_000).toArray());
        sender.attach(connection);

        sender.sendReceivedBitmap("b", pages);

        assertThat(connection.writes).extracting(hex -> hex.length() / 2).containsExactly(14, 65536, 65536, 28928, 8);
        assertThat(connection.all()).isEqualTo(ReturnPathCodec.encode(new ReceivedBitmap("b", pages)));
    }

    @Test
    void nothingIsSentAfterShut() throws IOException {
        sender.attach(connection);
        sender.sendShut(Shut.GOOD);

        assertThatIllegalStateException()
                .isThrownBy(() -> sender.sendShut(Shut.GOOD))
                .withMessage("SHUT after SHUT");
        assertThatIllegalStateException().isThrownBy(() -> sender.sendPong(1)).withMessage("PONG after SHUT");
        assertThatIllegalStateException()
                .isThrownBy(() -> sender.requestPages("m0", 0, 4096))
                .withMessage("REQ_PAGES_ID after SHUT");
        assertThatIllegalStateException()
                .isThrownBy(() -> sender.sendReceivedBitmap("m0", ReceivedPages.ofWords(0)))
                .withMessage("RECV_BITMAP after SHUT");
        assertThatIllegalStateException()
                .isThrownBy(() -> sender.attach(connection))
                .withMessage("attach after SHUT");
        assertThat(connection.writes).hasSize(1);
    }

    @Test
    void theSwitchoverIsAllowedOnce() throws IOException {
        sender.attach(connection);
        sender.sendSwitchoverAck();

        assertThatIllegalStateException()
                .isThrownBy(sender::sendSwitchoverAck)
                .withMessage("SWITCHOVER_ACK was already sent");
        assertThat(connection.writes).hasSize(1);
    }

    @Test
    void nothingCanBeSentBeforeThereIsAConnection() {
        assertThatIllegalStateException()
                .isThrownBy(() -> sender.sendPong(1))
                .withMessage("no connection was attached to the return path");
    }

    @Test
    void anUnsendableNameLeavesTheConnectionAlone() throws IOException {
        sender.attach(connection);

        assertThatIllegalArgumentException().isThrownBy(() -> sender.requestPages("", 0, 4096));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> sender.sendReceivedBitmap("x".repeat(256), ReceivedPages.ofWords(0)));

        sender.requestPages("m0", 0x1000, 0x1000);
        assertThat(connection.writes).containsExactly(REQUEST_OF_M0);
    }

    @Test
    void aFailedWriteGivesTheConnectionUp() throws IOException {
        var writes = new AtomicInteger();
        sender.attach(bytes -> {
            writes.incrementAndGet();
            throw new IOException("Broken pipe");
        });

        assertThatThrownBy(() -> sender.requestPages("m0", 0x1000, 0x1000)).hasMessage("Broken pipe");
        assertThatThrownBy(() -> sender.sendShut(0))
                .isInstanceOf(IOException.class)
                .hasMessage("the return path waits for a new connection")
                .cause()
                .hasMessage("Broken pipe");
        assertThat(writes).hasValue(1);

        sender.attach(connection);
        sender.requestPages("m0", 0x1000, 0x1000);
        sender.sendShut(0);
        assertThat(connection.writes).containsExactly(REQUEST_OF_M0, "0001000400000000");
    }

    @Test
    void messagesOfManyThreadsStayWhole() throws Exception {
        var pipe = new ByteArrayOutputStream();
        sender.attach(bytes -> {
            // Byte by byte, so that a second writer would show.
            while (bytes.hasRemaining()) {
                pipe.write(bytes.get());
            }
        });
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            String block = "block" + i;
            threads.add(Thread.ofPlatform().start(() -> sendMany(block)));
        }
        for (Thread thread : threads) {
            thread.join();
        }

        StreamReader in = StreamReader.of(pipe.toByteArray());
        int messages = 0;
        String block = "";
        while (!in.atEnd()) {
            ReturnPathMessage message = ReturnPathCodec.decode(in, _ -> OptionalLong.of(16));
            if (message instanceof RequestPagesOf named) {
                block = named.block();
            }
            if (message instanceof RequestPages(long start, int _)) {
                assertThat(block).isEqualTo("block" + start / 4096);
            }
            messages++;
        }
        assertThat(messages).isEqualTo(4 * 300);
    }

    /** Start says which block is meant. */
    private void sendMany(String block) {
        long start = 4096L * (block.charAt(block.length() - 1) - '0');
        try {
            for (int i = 0; i < 100; i++) {
                sender.requestPages(block, start, 4096);
                sender.sendPong(i);
                sender.sendReceivedBitmap(block, ReceivedPages.ofWords(i, i));
            }
        } catch (IOException e) {
            throw new AssertionError(e);
        }
    }

    private static final class Recorder implements ReturnPathSender.Outbound {
        final List<String> writes = new ArrayList<>();

        @Override
        public void write(ByteBuffer bytes) {
            byte[] copy = new byte[bytes.remaining()];
            bytes.get(copy);
            writes.add(HexFormat.of().formatHex(copy));
        }

        byte[] all() {
            return HexFormat.of().parseHex(String.join("", writes));
        }
    }
}
