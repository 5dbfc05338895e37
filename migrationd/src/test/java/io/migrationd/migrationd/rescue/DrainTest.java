package io.migrationd.migrationd.rescue;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The source is nothing but bytes. */
@DisplayName("Drain")
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class DrainTest extends RescueFixture {
    private static final String NOTHING = bitmaps("00", "00");
    private static final byte[] ALL_PAGES = part(0, 1, 2, 3, 9);
    private static final int REQUEST_WITH_NAME_BYTES = 4 + 13 + 2;

    private static String bitmaps(String m0, String rom) {
        return "0005 0003 02 \"m0\" 0000000000000008 " + m0 + "00000000000000 0123456789abcdef "
                + "0005 0004 03 \"rom\" 0000000000000008 " + rom + "00000000000000 0123456789abcdef ";
    }

    /** To the end, from a copy that says it has {@code bitmaps}. */
    private static void finish(Drain drain, String bitmaps) throws Exception {
        try (RawPeer source = RawPeer.connect(drain.uri())) {
            source.send(ASK).expect(bitmaps).send(RESUME).expect(RESUME_ACK);
            source.send(ALL_PAGES).send(END).send(EOF);
            assertThat(drain.awaitEnd(WAIT_MILLIS)).as("%s", drain.status()).isTrue();
        }
    }

    @Test
    void takesEverything() throws Exception {
        try (DrainedCopy copy = copy();
                Drain drain = Drain.listen(request(copy, "x"))) {
            assertThat(drain.status()).isEqualTo(new RescueStatus(RescueState.WAITING, 0, 5, Optional.empty(), false));
            try (RawPeer source = RawPeer.connect(drain.uri())) {
                source.send(ASK).expect(NOTHING).send(RESUME).expect(RESUME_ACK);
                // Every page is asked for: that goes ahead of a source's own bandwidth limit.
                source.expect("0003 000f 0000000000000000 00001000 02 \"m0\" 0004 000c 0000000000001000 00001000"
                        + "0004 000c 0000000000002000 00001000 0004 000c 0000000000003000 00001000"
                        + "0003 0010 0000000000000000 00001000 03 \"rom\"");
                awaitStatus(drain::status, s -> s.state() == RescueState.TRANSFERRING);
                source.send(part(3, 9));
                awaitStatus(drain::status, s -> s.donePages() == 2);
                source.send(part(0, 1, 2)).send(END).send(EOF).expect(SHUT_COMPLETE);
            }
            assertThat(drain.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(drain.awaitSourceReleased(WAIT_MILLIS)).isTrue();
            assertThat(drain.status())
                    .isEqualTo(new RescueStatus(RescueState.COMPLETED, 5, 5, Optional.empty(), false));
            assertWhole(copy);
            assertThat(drain.cancel()).isFalse();
        }
    }

    /** At each byte of the commands, and in and between pages; one drain and one copy bear them all. */
    @Test
    void bearsCutsAtManyBytes() throws Exception {
        byte[] said = join(bytes(ASK + RESUME), part(1), part(0, 9), END);
        TreeSet<Integer> cuts = new TreeSet<>();
        for (int at = 0; at < 60; at++) {
            cuts.add(at);
            cuts.add(said.length - at);
        }
        for (int at = 60; at < said.length; at += 509) {
            cuts.add(at);
        }
        try (DrainedCopy copy = copy();
                Drain drain = Drain.listen(request(copy, "x"))) {
            for (int cut : cuts) {
                try (RawPeer source = RawPeer.connect(drain.uri())) {
                    source.send(said, cut);
                }
                awaitStatus(drain::status, s -> s.state() == RescueState.PAUSED || s.state() == RescueState.WAITING);
            }
            assertThat(drain.status().inDoubt()).isFalse();
            awaitStatus(drain::status, s -> s.donePages() == 3);
            finish(drain, bitmaps("03", "01"));
            assertWhole(copy);
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        block unknown in the handshake | 08 000a 0003 02 "m1"                                  | 'm1'
        RESUME without a question      | 02 00000007                                           | POSTCOPY_RESUME
        a header                       | 08 0009 0000 5145564d 00000003                        | element
        page of an unknown block       | 08 0009 0000 02 00000007 0000000000000002 02 "m1" 00  | 'm1'
        page behind the block          | 08 0009 0000 02 00000007 0000000000004002 02 "m0" 00  | below 0x4000
        block list                     | 08 0009 0000 02 00000007 0000000000001004             | ram.flags
        fill byte                      | 08 0009 0000 02 00000007 0000000000000002 02 "m0" 01  | fill byte 0
        END of the stream, pages gone  | 08 0009 0000 00                                       | 5 pages are missing
        wrong footer                   | 08 0009 0000 02 00000007 0000000000000010 7e 00000001 | section id 7
        """)
    void hangsUpAndGoesOn(String why, String said, String error) throws Exception {
        try (DrainedCopy copy = copy();
                Drain drain = Drain.listen(request(copy, "x"))) {
            try (RawPeer source = RawPeer.connect(drain.uri())) {
                // A question first: without one it is no source, and nobody is told.
                source.send(ASK).expect(NOTHING).send(said);
                awaitStatus(drain::status, s -> s.state() == RescueState.PAUSED);
                assertThat(drain.status().error())
                        .hasValueSatisfying(e -> assertThat(e).contains(error));
            }
            finish(drain, NOTHING);
            assertWhole(copy);
        }
    }

    @Test
    void anotherDaemonProcessGoesOnWithWhatIsThere() throws Exception {
        try (DrainedCopy copy = copy()) {
            partly(copy);
        }
        try (DrainedCopy copy = DrainedCopy.open("web01", directory.resolve("copy"), budget)) {
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.PARTIAL);
            try (Drain drain = Drain.listen(request(copy, "x"))) {
                finish(drain, bitmaps("02", "01"));
            }
            assertWhole(copy);
        }
        try (DrainedCopy copy = DrainedCopy.open("web01", directory.resolve("copy"), budget)) {
            assertWhole(copy);
            copy.delete();
        }
        assertThat(directory.resolve("copy")).doesNotExist();
        assertThat(budget.leftBytes()).isEqualTo(1 << 20);
    }

    private void partly(DrainedCopy copy) throws Exception {
        try (Drain drain = Drain.listen(request(copy, "x"));
                RawPeer source = RawPeer.connect(drain.uri())) {
            source.send(ASK).expect(NOTHING).send(RESUME).expect(RESUME_ACK).send(part(1, 9));
            awaitStatus(drain::status, s -> s.donePages() == 2);
            assertThat(drain.cancel()).isTrue();
            assertThat(drain.status().state()).isEqualTo(RescueState.CANCELLED);
            assertThat(source.read(1 << 16).length).isLessThan(1 << 16);
        }
    }

    @Test
    void pagesAreNotTrustedAfterTheHostWasStartedAgain() throws Exception {
        try (DrainedCopy copy = copy()) {
            partly(copy);
        }
        Files.writeString(directory.resolve("copy/boot-id"), "another boot\n");
        try (DrainedCopy copy = DrainedCopy.open("web01", directory.resolve("copy"), budget);
                Drain drain = Drain.listen(request(copy, "x"))) {
            finish(drain, NOTHING);
            assertWhole(copy);
        }
    }

    @Test
    void aCopyHalfMadeIsMadeAgain() throws Exception {
        copy().close();
        Files.delete(directory.resolve("copy/kept.parts"));
        assertThatThrownBy(() -> DrainedCopy.open("web01", directory.resolve("copy"), budget))
                .isInstanceOf(IOException.class);
        try (DrainedCopy copy = copy()) {
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.PARTIAL);
        }
        assertThatThrownBy(this::copy).hasMessageContaining("holds a drained copy already");
    }

    @Test
    void aCopyThatHasNoRoomLeavesNothing() {
        KeptParts large = new KeptParts(
                bytes(PROLOGUE),
                bytes("01 00000007 03 \"ram\" 00000000 00000004 0000000040000004 02 \"m0\" 0000000040000000"
                        + " 0000000000000010 7e 00000007"),
                new byte[0]);
        assertThatThrownBy(() -> DrainedCopy.create("web01", directory.resolve("copy"), large, budget))
                .hasMessageContaining("max-parked-ram-bytes");
        assertThat(directory.resolve("copy/kept.parts")).doesNotExist();
        assertThat(budget.leftBytes()).isEqualTo(1 << 20);
    }

    /** QEMU of old machine types ends the second channel with a mark, newer ones just close it. */
    @ParameterizedTest
    @ValueSource(strings = {"0000000000000010", ""})
    void takesPagesOfAPreemptChannel(String endMark) throws Exception {
        try (DrainedCopy copy = copy();
                Drain drain = Drain.listen(request(copy, "x", true));
                RawPeer source = RawPeer.connect(drain.uri())) {
            source.send(ASK).expect(NOTHING);
            try (RawPeer second = RawPeer.connect(drain.uri())) {
                source.send(RESUME).expect(RESUME_ACK);
                second.send(record("m0", 3));
                awaitStatus(drain::status, s -> s.donePages() == 1);
                // The main connection's end overtakes a page of the other.
                source.send(part(0, 1, 9)).send(END).send(EOF);
                awaitStatus(drain::status, s -> s.state() == RescueState.LAST_WORD);
                assertThat(drain.cancel()).isFalse();
                second.send(record("m0", 2)).send(endMark);
                assertThat(drain.awaitEnd(WAIT_MILLIS)).as("%s", drain.status()).isTrue();
            }
            assertWhole(copy);
        }
    }

    /** Old machine types open it before the main connection has said a word. */
    @Test
    void takesAPreemptChannelThatComesFirst() throws Exception {
        try (DrainedCopy copy = copy();
                Drain drain = Drain.listen(request(copy, "x", true));
                RawPeer source = RawPeer.connect(drain.uri());
                RawPeer second = RawPeer.connect(drain.uri())) {
            source.send(ASK).expect(NOTHING).send(RESUME).expect(RESUME_ACK);
            second.send(record("m0", 3));
            awaitStatus(drain::status, s -> s.donePages() == 1);
            second.hangUp();
            awaitStatus(drain::status, s -> s.state() == RescueState.PAUSED);
            source.hangUp();
            try (RawPeer again = RawPeer.connect(drain.uri());
                    RawPeer secondAgain = RawPeer.connect(drain.uri())) {
                again.send(ASK).expect(bitmaps("08", "00")).send(RESUME).expect(RESUME_ACK);
                secondAgain.send(record("m0", 0));
                awaitStatus(drain::status, s -> s.donePages() == 2);
                again.send(part(1, 2, 9)).send(END).send(EOF);
                assertThat(drain.awaitEnd(WAIT_MILLIS)).isTrue();
            }
            assertWhole(copy);
        }
    }

    /** A QEMU of 10.0 and later that loses us now would run its old copy. */
    @Test
    void theSourceWaitsWhileItsPagesCannotBeKept() throws Exception {
        Path home = directory.resolve("copy/guest");
        Path away = directory.resolve("copy/away");
        try (DrainedCopy copy = copy();
                Drain drain = Drain.listen(request(copy, "x"));
                RawPeer source = RawPeer.connect(drain.uri())) {
            source.send(ASK).expect(NOTHING).send(RESUME).expect(RESUME_ACK).read(requestBytes());
            Files.move(home, away);
            source.send(ALL_PAGES).send(END).send(EOF);
            awaitStatus(drain::status, s -> s.error().isPresent());
            assertThat(drain.status().state()).isEqualTo(RescueState.LAST_WORD);
            assertThat(drain.status().inDoubt()).isTrue();
            assertThat(drain.cancel()).isFalse();
            Files.move(away, home);
            source.expect(SHUT_COMPLETE);
            assertThat(drain.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(drain.status().error()).isEmpty();
            assertWhole(copy);
        }
    }

    private static int requestBytes() {
        return REQUEST_WITH_NAME_BYTES + 3 * 16 + REQUEST_WITH_NAME_BYTES + 1;
    }

    @Test
    void aSourceThatIsGoneBeforeItsPagesAreKeptIsInDoubt() throws Exception {
        Path home = directory.resolve("copy/guest");
        Path away = directory.resolve("copy/away");
        try (DrainedCopy copy = copy();
                Drain drain = Drain.listen(request(copy, "x"))) {
            try (RawPeer source = RawPeer.connect(drain.uri())) {
                source.send(ASK).expect(NOTHING).send(RESUME).expect(RESUME_ACK).read(requestBytes());
                Files.move(home, away);
                source.send(ALL_PAGES).send(END).send(EOF);
                awaitStatus(drain::status, s -> s.error().isPresent());
            }
            awaitStatus(drain::status, s -> s.state() == RescueState.PAUSED);
            assertThat(drain.status().inDoubt()).isTrue();
            assertThat(drain.status().donePages()).isEqualTo(5);
            Files.move(away, home);
            // Whoever comes back has not run on.
            finish(drain, bitmaps("0f", "01"));
            assertWhole(copy);
        }
    }

    @Test
    void refusesWhatMakesNoSense() throws Exception {
        try (DrainedCopy copy = copy()) {
            try (Drain drain = Drain.listen(request(copy, "x"))) {
                assertThatThrownBy(() -> Drain.listen(request(copy, "y")).close())
                        .isInstanceOf(RescueRefusedException.class)
                        .hasMessage("the copy of 'web01' is in use: drain");
                assertThatThrownBy(() -> Serve.start(request(copy, "y")).close())
                        .isInstanceOf(RescueRefusedException.class);
                assertThatThrownBy(copy::delete).isInstanceOf(RescueRefusedException.class);
                assertThat(copy.user()).contains("drain");
                finish(drain, NOTHING);
            }
            assertThatThrownBy(() -> Drain.listen(request(copy, "x")).close())
                    .isInstanceOf(RescueRefusedException.class)
                    .hasMessage("drain: the copy of 'web01' is complete, it must be not complete");
        }
    }

    @Test
    void saysWhenItCannotListen() throws Exception {
        Files.createFile(directory.resolve("x"));
        try (DrainedCopy copy = copy()) {
            assertThatThrownBy(() -> Drain.listen(request(copy, "x")).close())
                    .isInstanceOf(IOException.class)
                    .hasMessageContaining("it is no socket");
            Files.delete(directory.resolve("x"));
            Drain.listen(request(copy, "x")).close();
        }
    }
}
