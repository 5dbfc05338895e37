package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;

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
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ReturnPathCodecFixtureTest {
    @ParameterizedTest(name = "{0}")
    @MethodSource("io.migrationd.returnpath.Fixtures#names")
    void encodesWhatItDecoded(String name) throws IOException {
        var again = new ByteArrayOutputStream();
        for (ReturnPathMessage message : decode(name)) {
            again.writeBytes(ReturnPathCodec.encode(message));
        }

        assertThat(again.toByteArray()).isEqualTo(Fixtures.read(name));
    }

    @Test
    void hugePagesAreAskedForWhole() throws IOException {
        assertThat(decode("qemu-10.0.13/hugepage-postcopy"))
                .containsExactly(
                        new Pong(1),
                        new Pong(2),
                        new Pong(4),
                        new Pong(3),
                        new RequestPagesOf("pc.bios", 0, 4096),
                        new RequestPagesOf("m0", 2 << 20, 2 << 20),
                        new RequestPages(6 << 20, 2 << 20),
                        new Shut(Shut.GOOD));
    }

    @Test
    void switchoverAckPrecedesTheFirstPong() throws IOException {
        assertThat(decode("qemu-10.0.13/switchover-ack"))
                .containsExactly(new SwitchoverAck(), new Pong(1), new Shut(Shut.GOOD));
    }

    @Test
    void recoveryAnswersWithOneBitmapForEachBlock() throws IOException {
        List<ReturnPathMessage> messages = decode("qemu-10.0.13/recover-second");

        assertThat(messages)
                .filteredOn(ReceivedBitmap.class::isInstance)
                .extracting(message -> ((ReceivedBitmap) message).block())
                .containsExactly(
                        "pc.ram",
                        "/rom@etc/acpi/tables",
                        "pc.rom",
                        "pc.bios",
                        "/rom@etc/table-loader",
                        "/rom@etc/acpi/rsdp");
        assertThat(messages).contains(new ReceivedBitmap("pc.rom", ReceivedPages.ofWords(0xffffffffL)));
        assertThat(messages).endsWith(new ResumeAck(ResumeAck.GOOD), new Shut(Shut.GOOD));
    }

    private static List<ReturnPathMessage> decode(String name) throws IOException {
        StreamReader in = StreamReader.of(Fixtures.read(name));
        List<ReturnPathMessage> messages = new ArrayList<>();
        while (!in.atEnd()) {
            messages.add(ReturnPathCodec.decode(in, Fixtures.BITMAPS));
        }
        return messages;
    }
}
