package io.migrationd.migrationd.incoming;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Incoming migration")
class IncomingMigrationTest {
    private static final String HEAD = "5145564d 00000003 07 00000008 \"test-1.0\" ";
    private static final String RETURN_PATH = "08 0001 0000 08 0002 0004 00000001 ";
    private static final String RAM = "01 00000001 03 \"ram\" 00000000 00000004"
            + " 0000000000001004 02 \"m0\" 0000000000001000 0000000000000010 7e 00000001 ";
    private static final String DEVICE = "04 00000002 03 \"cpu\" 00000000 00000002 01020304 7e 00000002 ";
    private static final String EOF = "00 06 00000002 \"{}\"";
    private static final byte[] GOOD = bytes(HEAD + RETURN_PATH + RAM + DEVICE + EOF);

    @TempDir
    private Path directory;

    private final Links links = new Links(5_000, 5_000);
    private MemoryGuest guest = new MemoryGuest("g");

    @BeforeEach
    void open() throws ErrnoException {
        guest = new MemoryGuest("g").with("m0", 1).incoming();
    }

    @AfterEach
    void close() {
        guest.close();
        links.close();
    }

    private Destination listen(Capability... capabilities) throws IOException {
        return new Destination(links, guest, directory, Set.of(capabilities));
    }

    @Test
    void announcesItsStates() throws IOException, InterruptedException {
        try (Destination destination = listen();
                RawSource source = new RawSource(destination.uri())) {
            assertThat(source.send(GOOD).reply()).isEqualTo(bytes("0002 0004 00000001 0001 0004 00000000"));
            destination.awaitEnd();

            assertThat(destination.events.all())
                    .containsExactly("status setup", "status active", "RESUME", "status completed");
            assertThat(guest.calls).containsExactly("begin incoming", "commit");
            assertThat(destination.migration().info().totalTimeMillis()).isNotNull();
        }
    }

    @ParameterizedTest
    @CsvSource({"tcp:127.0.0.1:0", "tcp:[::1]:0"})
    void listensOnTcpWithARealPort(String uri) throws IOException, InterruptedException {
        try (Destination destination =
                        new Destination(links, guest, MigrationUri.parse(uri), Set.of(), 10_000, () -> {});
                RawSource source = new RawSource(destination.uri())) {
            assertThat(((MigrationUri.Tcp) destination.uri()).port()).isPositive();
            source.send(GOOD).reply();

            assertThat(destination.awaitEnd().status()).isEqualTo("completed");
        }
    }

    @Test
    void showsWhereItListensUntilSomebodyCame() throws IOException {
        try (Destination destination = listen()) {
            assertThat(destination.migration().info().socketAddresses())
                    .containsExactly("unix:" + directory.resolve("in.sock"));
            try (RawSource source = new RawSource(destination.uri())) {
                await().until(() -> destination.migration().status() == IncomingStatus.ACTIVE);

                assertThat(destination.migration().info().socketAddresses()).isEmpty();
                source.endOfInput();
            }
        }
    }

    @Test
    void asksForTheStartInWritingFirst() throws IOException, InterruptedException {
        try (Destination destination = new Destination(
                        links,
                        guest,
                        MigrationUri.parse("unix:" + directory.resolve("in.sock")),
                        Set.of(),
                        10_000,
                        () -> guest.calls.add("accepted"));
                RawSource source = new RawSource(destination.uri())) {
            source.send(GOOD).reply();
            destination.awaitEnd();

            assertThat(guest.calls).containsExactly("begin incoming", "accepted", "commit");
        }
    }

    @Test
    void doesNotStartAGuestThatCouldNotBeWrittenDown() throws IOException, InterruptedException {
        try (Destination destination = new Destination(
                        links,
                        guest,
                        MigrationUri.parse("unix:" + directory.resolve("in.sock")),
                        Set.of(),
                        10_000,
                        () -> {
                            throw new IOException("the disk is full");
                        });
                RawSource source = new RawSource(destination.uri())) {
            assertThat(source.send(GOOD).reply()).isEqualTo(bytes("0002 0004 00000001 0001 0004 00000001"));
            destination.awaitEnd();

            assertThat(destination.status()).isEqualTo("failed");
            assertThat(destination.error()).isEqualTo("the disk is full");
            assertThat(guest.calls).containsExactly("begin incoming", "abort");
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
        }
    }

    @Test
    void sendsSwitchoverAckBeforeThePong() throws IOException, InterruptedException {
        try (Destination destination = listen(Capability.SWITCHOVER_ACK);
                RawSource source = new RawSource(destination.uri())) {
            assertThat(source.send(GOOD).reply()).isEqualTo(bytes("0007 0000 0002 0004 00000001 0001 0004 00000000"));
        }
    }

    /** The PONG for the last PING says that the device state before it is here; only then may the source let go. */
    @Test
    void answersAPingWhenAllBeforeItIsLoaded() throws IOException, InterruptedException {
        try (Destination destination = listen();
                RawSource source = new RawSource(destination.uri())) {
            byte[] reply = source.send(bytes(HEAD + RETURN_PATH + RAM + DEVICE + "08 0002 0004 00000044" + EOF))
                    .reply();

            assertThat(reply).isEqualTo(bytes("0002 0004 00000001 0002 0004 00000044 0001 0004 00000000"));
        }
    }

    /** With that PONG the source would give its copy up, and the guest would run nowhere. */
    @Test
    void doesNotAnswerAPingWhenTheProcessIsGone() throws IOException, InterruptedException {
        try (Destination destination = listen();
                RawSource source = new RawSource(destination.uri())) {
            source.send(bytes(HEAD + RETURN_PATH + RAM));
            await().until(() -> guest.calls.contains("begin incoming"));
            await().until(() -> {
                var ram = destination.migration().info().ram();
                return ram != null && ram.total() > 0;
            });
            guest.loseProcess();

            byte[] reply =
                    source.send(bytes(DEVICE + "08 0002 0004 00000044" + EOF)).reply();

            assertThat(reply).isEqualTo(bytes("0002 0004 00000001 0001 0004 00000001"));
            destination.awaitEnd();
            assertThat(destination.error()).isEqualTo("guest 'g': its process is gone");
            assertThat(guest.calls).containsExactly("begin incoming", "abort");
        }
    }

    @Test
    void isCancelledBeforeAnybodyCame() throws IOException, InterruptedException {
        try (Destination destination = listen()) {
            assertThat(destination.migration().cancel()).isTrue();
            assertThat(destination.migration().cancel()).isTrue();

            assertThat(destination.status()).isEqualTo("cancelled");
            assertThat(destination.events.all()).containsExactly("status setup", "status cancelled");
            assertThat(directory.resolve("in.sock")).doesNotExist();
            assertThat(guest.calls).isEmpty();
            assertThat(destination.migration().awaitEnd(1)).isTrue();
        }
    }

    @Test
    void isCancelledInTheMiddle() throws IOException, InterruptedException {
        try (Destination destination = listen();
                RawSource source = new RawSource(destination.uri())) {
            source.send(bytes(HEAD + RETURN_PATH + RAM));
            await().until(() -> guest.calls.contains("begin incoming"));

            assertThat(destination.migration().cancel()).isTrue();

            source.reply();
            destination.awaitEnd();
            await().until(() -> guest.calls.contains("abort"));
            assertThat(destination.status()).isEqualTo("cancelled");
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
        }
        assertGoodOneWorks();
    }

    @Test
    void isNotCancelledWhenTheGuestIsBeingStarted() throws IOException, InterruptedException {
        CountDownLatch committing = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        try (Destination destination = new Destination(
                        links,
                        guest,
                        MigrationUri.parse("unix:" + directory.resolve("in.sock")),
                        Set.of(),
                        10_000,
                        () -> {
                            committing.countDown();
                            awaitUninterruptibly(goOn);
                        });
                RawSource source = new RawSource(destination.uri())) {
            source.send(GOOD);
            committing.await();

            assertThat(destination.migration().cancel()).isFalse();

            goOn.countDown();
            assertThat(destination.awaitEnd().status()).isEqualTo("completed");
        }
    }

    private static void awaitUninterruptibly(CountDownLatch latch) throws IOException {
        try {
            latch.await();
        } catch (InterruptedException e) {
            throw new IOException("interrupted", e);
        }
    }

    @Test
    void oneOfTwoConnectionsIsTurnedAway() throws IOException, InterruptedException {
        try (Destination destination =
                new Destination(links, guest, MigrationUri.parse("tcp:127.0.0.1:0"), Set.of(), 10_000, () -> {})) {
            byte[] complete = bytes("0002 0004 00000001 0001 0004 00000000");
            List<byte[]> replies = new ArrayList<>();
            try (RawSource first = new RawSource(destination.uri())) {
                replies.add(connectOrNothing(destination.uri()));
                replies.add(first.send(GOOD).reply());
            }

            assertThat(destination.awaitEnd().status()).isEqualTo("completed");
            assertThat(replies).containsExactlyInAnyOrder(new byte[0], complete);
        }
    }

    private static byte[] connectOrNothing(MigrationUri uri) {
        try (RawSource second = new RawSource(uri)) {
            return second.send(GOOD).reply();
        } catch (IOException e) {
            // The listener was closed already: turned away as well.
            return new byte[0];
        }
    }

    @Test
    void failsWhenTheSourceNeverSpeaks() throws IOException, InterruptedException {
        try (Destination destination = new Destination(
                        links,
                        guest,
                        MigrationUri.parse("unix:" + directory.resolve("in.sock")),
                        Set.of(),
                        100,
                        () -> {});
                RawSource source = new RawSource(destination.uri())) {
            assertThat(source.reply()).isEmpty();
            destination.awaitEnd();

            assertThat(destination.status()).isEqualTo("failed");
            assertThat(destination.error()).endsWith("has sent nothing for 100 ms");
        }
        assertGoodOneWorks();
    }

    @Test
    void twoCannotListenAtTheSamePlace() throws IOException, InterruptedException {
        try (Destination destination = listen()) {
            assertThatThrownBy(this::listen)
                    .isInstanceOf(IOException.class)
                    .hasMessage("can't listen at %s: another process does", destination.uri());

            try (RawSource source = new RawSource(destination.uri())) {
                source.send(GOOD).reply();
            }
            assertThat(destination.awaitEnd().status())
                    .as("the first is not disturbed")
                    .isEqualTo("completed");
        }
    }

    @Test
    void takesTheSocketFileOfADaemonThatWasKilled() throws IOException, InterruptedException {
        try (ServerSocketChannel left = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            left.bind(UnixDomainSocketAddress.of(directory.resolve("in.sock")));
        }
        assertThat(directory.resolve("in.sock")).exists();

        assertGoodOneWorks();
    }

    @Test
    void doesNotTakeAFileForASocket() throws IOException {
        Path file = Files.writeString(directory.resolve("in.sock"), "precious");

        assertThatThrownBy(this::listen)
                .isInstanceOf(IOException.class)
                .hasMessage("can't listen at unix:%s: it is no socket", file);

        assertThat(file).hasContent("precious");
    }

    @Test
    void closeEndsEverything() throws IOException, InterruptedException {
        Destination destination = listen();
        try (RawSource source = new RawSource(destination.uri())) {
            source.send(bytes(HEAD + RETURN_PATH));
            await().until(() -> destination.migration().status() == IncomingStatus.ACTIVE);

            destination.close();

            assertThat(destination.status()).isEqualTo("cancelled");
            assertThat(destination.migration().awaitEnd(1)).isTrue();
            assertThat(Thread.getAllStackTraces().keySet())
                    .extracting(Thread::getName)
                    .doesNotContain("mig-load-t");
        }
    }

    private void assertGoodOneWorks() throws IOException, InterruptedException {
        try (Destination destination = listen();
                RawSource source = new RawSource(destination.uri())) {
            source.send(GOOD).reply();
            assertThat(destination.awaitEnd().status()).isEqualTo("completed");
        }
    }
}
