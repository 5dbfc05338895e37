package io.migrationd.migrationd.rescue;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The fresh QEMU is nothing but bytes. */
@DisplayName("Replace")
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class ReplaceTest extends RescueFixture {
    private static final String OPEN_AND_PING = "08 0001 0000 08 0002 0004 00000001 ";
    private static final String PONG_LOADED = "0002 0004 00000044 ";
    private static final String NO_DESCRIPTION = "06 00000000 ";

    private final AtomicInteger releases = new AtomicInteger();

    private Replace start(DrainedCopy copy) throws IOException {
        return Replace.start(request(copy, "c"), Evidence.NONE, releases::incrementAndGet);
    }

    /** Everything up to the question whether it is loaded. */
    private static PageNotes load(RawPeer qemu) throws IOException {
        qemu.expect(PROLOGUE + OPEN_AND_PING + RAM_SETUP).send("0002 0004 00000001");
        PageNotes notes = new PageNotes();
        StreamReader in = qemu.reader();
        StreamElement element = StreamElementCodec.read(in);
        while (element instanceof StreamElement.Part(long _, int id)) {
            notes.section(in, id);
            element = StreamElementCodec.read(in);
        }
        assertThat(element).isInstanceOf(StreamElement.End.class);
        notes.section(in, ((StreamElement.End) element).sectionId());
        byte[] devices = bytes(DEVICES);
        assertThat(in.readBytes("devices", devices.length, devices.length)).isEqualTo(devices);
        assertThat(StreamElementCodec.read(in))
                .isInstanceOfSatisfying(
                        StreamElement.CommandElement.class,
                        command -> assertThat(command.command()).isEqualTo(new Command.Ping(0x44)));
        assertThat(in.buffered()).isZero();
        return notes;
    }

    @Test
    void saysAgainWhatTheSourceHasSaid() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("c"));
                Replace replace = start(copy);
                RawPeer qemu = server.accept()) {
            assertThat(load(qemu).pages()).containsExactly("m0:0", "m0:1", "m0:2", "m0:3", "rom:0");
            assertThat(releases).hasValue(0);
            qemu.send(PONG_LOADED).expect("00 " + NO_DESCRIPTION);
            assertThat(releases).hasValue(1);
            assertThat(replace.status().state()).isEqualTo(RescueState.LAST_WORD);
            assertThat(replace.cancel()).isFalse();
            qemu.send(SHUT_COMPLETE);
            assertThat(replace.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(replace.status())
                    .isEqualTo(new RescueStatus(RescueState.COMPLETED, 5, 5, Optional.empty(), false));
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.USED);
        }
    }

    @ParameterizedTest(name = "{5}")
    @CsvSource({
        "true,  false, false, false, false, PONG 3",
        "false, true,  false, false, false, PONG 42h",
        "false, false, true,  false, false, asked for pages",
        "false, false, false, true,  false, seen running",
        "false, false, false, false, true,  right to run"
    })
    void refusesWhatMayHaveRun(
            boolean devices, boolean loaded, boolean requested, boolean resumed, boolean granted, String reason)
            throws Exception {
        Evidence evidence = new Evidence(devices, loaded, requested, resumed, granted);
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("c"))) {
            server.channel().configureBlocking(false);
            assertThatThrownBy(() -> Replace.start(request(copy, "c"), evidence, releases::incrementAndGet)
                            .close())
                    .isInstanceOf(RescueRefusedException.class)
                    .hasMessageContaining(reason);
            assertThat(server.channel().accept()).as("nobody was dialled").isNull();
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
            assertThat(copy.user()).isEmpty();
            assertThat(releases).hasValue(0);
        }
    }

    @Test
    void refusesACopyThatIsNotComplete() throws Exception {
        try (DrainedCopy copy = copy()) {
            assertThatThrownBy(() -> start(copy).close())
                    .isInstanceOf(RescueRefusedException.class)
                    .hasMessageContaining("not complete");
        }
    }

    @Test
    void refusesWithoutDevices() throws Exception {
        KeptParts kept = new KeptParts(bytes(PROLOGUE), bytes(RAM_SETUP), new byte[0]);
        try (DrainedCopy copy = DrainedCopy.create("web01", directory.resolve("copy"), kept, budget)) {
            copy.guest().completeIncoming();
            assertThatThrownBy(() -> start(copy).close())
                    .isInstanceOf(RescueRefusedException.class)
                    .hasMessageContaining("was not kept");
        }
    }

    /** The stream has no end yet: the QEMU cannot have started anything, and the next one may be tried. */
    @ParameterizedTest(name = "{0}")
    @CsvSource({"gone, ", "refuses, 0001 0004 00000001"})
    void aQemuThatDoesNotLoadLeavesTheCopyAsItWas(String why, String answer) throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("c"))) {
            try (Replace replace = start(copy);
                    RawPeer qemu = server.accept()) {
                load(qemu);
                if (answer != null) {
                    qemu.send(answer);
                }
                qemu.hangUp();
                assertThat(replace.awaitEnd(WAIT_MILLIS)).isTrue();
                assertThat(replace.status().state()).isEqualTo(RescueState.FAILED);
                assertThat(replace.status().inDoubt()).isFalse();
                assertThat(replace.status().error()).isPresent();
            }
            assertThat(releases).hasValue(0);
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
            try (Replace replace = start(copy);
                    RawPeer qemu = server.accept()) {
                load(qemu);
                qemu.send(PONG_LOADED + SHUT_COMPLETE);
                assertThat(replace.awaitEnd(WAIT_MILLIS)).isTrue();
                assertThat(replace.status().state()).isEqualTo(RescueState.COMPLETED);
            }
        }
    }

    @Test
    void aReleaseThatCannotBeWrittenKeepsTheEndBack() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("c"));
                Replace replace = Replace.start(request(copy, "c"), Evidence.NONE, () -> {
                    throw new IOException("no room for the record");
                });
                RawPeer qemu = server.accept()) {
            load(qemu);
            qemu.send(PONG_LOADED).expectEnd();
            assertThat(replace.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(replace.status().error())
                    .hasValueSatisfying(e -> assertThat(e).contains("no room for the record"));
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
        }
    }

    @Test
    void aQemuThatIsLostBehindTheEndIsInDoubt() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("c"));
                Replace replace = start(copy)) {
            try (RawPeer qemu = server.accept()) {
                load(qemu);
                qemu.send(PONG_LOADED).expect("00");
            }
            assertThat(replace.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(replace.status().state()).isEqualTo(RescueState.FAILED);
            assertThat(replace.status().inDoubt()).isTrue();
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
        }
    }

    @Test
    void canBeCancelled() throws Exception {
        try (DrainedCopy copy = completeCopy("copy", PROLOGUE);
                RawPeer.Server server = RawPeer.Server.at(unix("c"));
                Replace replace = start(copy);
                RawPeer qemu = server.accept()) {
            load(qemu);
            assertThat(replace.cancel()).isTrue();
            qemu.expectEnd();
            assertThat(replace.awaitEnd(WAIT_MILLIS)).isTrue();
            assertThat(replace.status().state()).isEqualTo(RescueState.CANCELLED);
            assertThat(copy.state()).isEqualTo(DrainedCopy.State.COMPLETE);
        }
    }
}
