package io.migrationd.migrationd.rescue;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The destination is nothing but bytes. */
@DisplayName("Serve")
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class ServeTest extends RescueFixture {
    /** Page 1 of m0 is there, the rom is not. */
    private static final String BITMAPS = "0005 0003 02 \"m0\" 0000000000000008 0200000000000000 0123456789abcdef "
            + "0005 0004 03 \"rom\" 0000000000000008 0000000000000000 0123456789abcdef ";

    private static final String REQUEST_PAGE_3 = "0003 000f 0000000000003000 00001000 02 \"m0\" ";

    /** Behaves to the end. */
    private static PageNotes finish(RawPeer destination, String bitmaps) throws IOException {
        destination.expect(ASK).send(bitmaps).expect(RESUME).send(RESUME_ACK);
        PageNotes notes = new PageNotes();
        notes.readToEnd(destination, destination.reader());
        destination.send(SHUT_COMPLETE);
        return notes;
    }

    private static void assertDone(Serve serve, DrainedCopy copy) throws InterruptedException {
        assertThat(serve.awaitEnd(WAIT_MILLIS)).as("%s", serve.status()).isTrue();
        assertThat(serve.status()).isEqualTo(new RescueStatus(RescueState.COMPLETED, 5, 5, Optional.empty(), false));
        assertThat(copy.state()).isEqualTo(DrainedCopy.State.USED);
    }

    @Test
    void sendsWhatIsMissing() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"));
                Serve serve = Serve.start(request(copy, "y"));
                RawPeer destination = server.accept()) {
            assertThat(finish(destination, BITMAPS).pages()).containsExactly("m0:0", "m0:2", "m0:3", "rom:0");
            assertDone(serve, copy);
            assertThat(serve.cancel()).isFalse();
            assertThatThrownBy(() -> serve.retry(unix("y"))).isInstanceOf(RescueRefusedException.class);
        }
    }

    @Test
    void sendsWhatIsAskedForFirst() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"));
                Serve serve = Serve.start(request(copy, "y"));
                RawPeer destination = server.accept()) {
            destination.expect(ASK).send(BITMAPS).expect(RESUME).send(REQUEST_PAGE_3 + RESUME_ACK);
            PageNotes notes = new PageNotes();
            notes.readToEnd(destination, destination.reader());
            assertThat(notes.pages()).hasSize(4).startsWith("m0:3");
            destination.send(SHUT_COMPLETE);
            assertDone(serve, copy);
        }
    }

    /** The second connection follows the first words of the main one, whose answers may wait for it. */
    @ParameterizedTest
    @ValueSource(ints = {7, 10})
    void sendsWhatIsAskedForOverAPreemptChannel(int version) throws Exception {
        try (DrainedCopy copy = completeCopy("copy", version == 7 ? OLD_PROLOGUE : PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"));
                Serve serve = Serve.start(request(copy, "y", true));
                RawPeer destination = server.accept()) {
            destination.expect(ASK);
            RawPeer second;
            if (version == 7) {
                second = server.accept();
                destination.send(BITMAPS);
            } else {
                destination.send(BITMAPS);
                second = server.accept();
            }
            try (second) {
                destination.expect(RESUME).send(REQUEST_PAGE_3 + RESUME_ACK);
                PageNotes main = new PageNotes();
                main.readToEnd(destination, destination.reader());
                destination.send(SHUT_COMPLETE);
                assertDone(serve, copy);
                byte[] said = second.read(1 << 16);
                PageNotes urgent = new PageNotes();
                urgent.channel(StreamReader.of(said));
                byte[] mark = {0, 0, 0, 0, 0, 0, 0, 0x10};
                boolean marked = said.length >= mark.length
                        && Arrays.equals(said, said.length - mark.length, said.length, mark, 0, mark.length);
                assertThat(marked).as("end mark").isEqualTo(version == 7);
                // The last pages may be claimed for either.
                assertThat(Stream.concat(main.pages().stream(), urgent.pages().stream()))
                        .containsExactlyInAnyOrder("m0:0", "m0:2", "m0:3", "rom:0");
            }
        }
    }

    /** At each byte of what a destination answers until RESUME is acknowledged. */
    @Test
    void bearsCutsAtEveryByteOfTheAnswers() throws Exception {
        byte[] answers = bytes(BITMAPS + RESUME_ACK);
        int bitmapBytes = bytes(BITMAPS).length;
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"));
                Serve serve = Serve.start(request(copy, "y"))) {
            for (int cut = 0; cut < answers.length; cut++) {
                try (RawPeer destination = server.accept()) {
                    destination.expect(ASK).send(answers, Math.min(cut, bitmapBytes));
                    if (cut >= bitmapBytes) {
                        destination.expect(RESUME).send(bytes(RESUME_ACK), cut - bitmapBytes);
                    }
                }
                assertThat(serve.awaitEnd(WAIT_MILLIS)).isTrue();
                assertThat(serve.status().state()).as("cut at %d", cut).isEqualTo(RescueState.PAUSED);
                assertThat(serve.status().error()).isPresent();
                serve.retry(unix("y"));
            }
            try (RawPeer destination = server.accept()) {
                assertThat(finish(destination, BITMAPS).pages()).hasSize(4);
                assertDone(serve, copy);
            }
        }
    }

    /** Pages that were on their way may have got lost: only the destination knows. */
    @Test
    void sendsAgainWhatWasOnItsWay() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"));
                Serve serve = Serve.start(request(copy, "y"))) {
            try (RawPeer destination = server.accept()) {
                destination.expect(ASK).send(BITMAPS).expect(RESUME).send(RESUME_ACK);
                assertThat(destination.read(1)).hasSize(1);
            }
            assertThat(serve.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(serve.status().state()).isEqualTo(RescueState.PAUSED);
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
            serve.retry(unix("y"));
            try (RawPeer destination = server.accept()) {
                assertThat(finish(destination, BITMAPS).pages()).hasSize(4);
                assertDone(serve, copy);
            }
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        bitmap of another size     | 0005 0003 02 "m0" 0000000000000010                                   | 8
        block that was not asked   | 0005 0003 02 "m1" 0000000000000008                                   | m1
        bitmap without its mark    | 0005 0003 02 "m0" 0000000000000008 0000000000000000 0123456789abcdee | bitmap.end
        RESUME_ACK of another kind | 0006 0004 00000002                                                   | 2
        end of the destination     | 0001 0004 00000001                                                   | failed
        unknown message            | 0009 0000                                                            | 9
        """)
    void hangsUpAndCanBeTriedAgain(String why, String answer, String error) throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"));
                Serve serve = Serve.start(request(copy, "y"))) {
            try (RawPeer destination = server.accept()) {
                destination.expect(ASK).send(answer).expectEnd();
            }
            assertThat(serve.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(serve.status().state()).isEqualTo(RescueState.PAUSED);
            assertThat(serve.status().error())
                    .hasValueSatisfying(e -> assertThat(e).contains(error));
            serve.retry(unix("y"));
            try (RawPeer destination = server.accept()) {
                finish(destination, BITMAPS);
                assertDone(serve, copy);
            }
        }
    }

    /** It got everything over an earlier connection, and only its word was lost. */
    @Test
    void aDestinationThatHasEndedNeedsNothing() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"));
                Serve serve = Serve.start(request(copy, "y"));
                RawPeer destination = server.accept()) {
            destination.expect(ASK).send(SHUT_COMPLETE);
            assertDone(serve, copy);
        }
    }

    @Test
    void nobodyListensYet() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                Serve serve = Serve.start(request(copy, "y"))) {
            assertThat(serve.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(serve.status().state()).isEqualTo(RescueState.PAUSED);
            try (RawPeer.Server server = RawPeer.Server.at(unix("z"))) {
                serve.retry(unix("z"));
                try (RawPeer destination = server.accept()) {
                    assertThatThrownBy(() -> serve.retry(unix("z")))
                            .isInstanceOf(RescueRefusedException.class)
                            .hasMessageContaining("only a paused one is tried again");
                    finish(destination, BITMAPS);
                    assertDone(serve, copy);
                }
            }
        }
    }

    @Test
    void canBeGivenUpAndBegunAnew() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("y"))) {
            try (Serve serve = Serve.start(request(copy, "y"));
                    RawPeer destination = server.accept()) {
                destination.expect(ASK);
                assertThat(serve.cancel()).isTrue();
                assertThat(serve.status().state()).isEqualTo(RescueState.CANCELLED);
                assertThat(serve.awaitEnd(WAIT_MILLIS)).isTrue();
                destination.expectEnd();
                assertThatThrownBy(() -> serve.retry(unix("y"))).hasMessageContaining("was closed");
            }
            try (Serve serve = Serve.start(request(copy, "y"));
                    RawPeer destination = server.accept()) {
                finish(destination, BITMAPS);
                assertDone(serve, copy);
            }
            assertThatThrownBy(() -> Serve.start(request(copy, "y")).close())
                    .isInstanceOf(RescueRefusedException.class)
                    .hasMessageContaining("at a destination already");
        }
    }

    @Test
    void refusesACopyThatIsNotComplete() throws Exception {
        try (DrainedCopy copy = copy()) {
            assertThatThrownBy(() -> Serve.start(request(copy, "y")).close())
                    .isInstanceOf(RescueRefusedException.class)
                    .hasMessage("serve: the copy of 'web01' is not complete, it must be complete");
        }
    }

    /** One copy is served into the drain of another: both halves against each other. */
    @ParameterizedTest
    @CsvSource({"10, false", "10, true", "7, true"})
    void isDrainedByADrain(int version, boolean preempt) throws Exception {
        String prologue = version == 7 ? OLD_PROLOGUE : PROLOGUE;
        try (DrainedCopy full = completeCopy("copy", prologue);
                DrainedCopy empty = copy("other", prologue);
                Drain drain = Drain.listen(request(empty, "x", preempt));
                Serve serve = Serve.start(request(full, "x", preempt))) {
            assertDone(serve, full);
            assertThat(drain.awaitEnd(WAIT_MILLIS)).isTrue();
            assertWhole(empty);
        }
    }
}
