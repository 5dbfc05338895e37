package io.migrationd.migrationd.rescue;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.util.Arrays;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Kept stream")
class KeptStreamTest {
    private static final String LISTEN = RescueFixture.LISTEN;
    private static final String DEVICES = RescueFixture.DEVICES;

    @Test
    void knowsTheGuest() throws IOException {
        KeptStream stream = KeptStream.parse(RescueFixture.parts());
        assertThat(stream.configuration().machineType()).isEqualTo("pc-i440fx-10.0");
        assertThat(stream.ramSectionId()).isEqualTo(7);
        assertThat(stream.blocks()).extracting("name").containsExactly("m0", "rom");
        assertThat(stream.totalBytes()).isEqualTo(5 * 4096);
        assertThat(stream.devices()).isEqualTo(bytes(DEVICES));
        assertThat(stream.original().head()).isEqualTo(bytes(RescueFixture.PROLOGUE));
    }

    @Test
    void leavesCommandsOutOfTheHead() throws IOException {
        KeptParts kept = RescueFixture.parts(RescueFixture.PROLOGUE + "08 0001 0000 08 0002 0004 00000001");
        assertThat(KeptStream.parse(kept).head()).isEqualTo(bytes(RescueFixture.PROLOGUE));
    }

    @Test
    void knowsHugePages() throws IOException {
        byte[] setup = bytes("01 00000007 03 \"ram\" 00000000 00000004"
                + " 0000000000401004 02 \"m0\" 0000000000400000 0000000000200000"
                + " 03 \"rom\" 0000000000001000 0000000000000010 7e 00000007");
        KeptStream stream = KeptStream.parse(new KeptParts(bytes(RescueFixture.PROLOGUE), setup, new byte[0]));
        assertThat(stream.blocks()).extracting("pageSizeBytes").containsExactly(2L << 20, 0L);
        assertThat(stream.devices()).isEmpty();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        no pings       |
        ping 3         | 08 0002 0004 00000003
        pings 3 and 42 | 08 0002 0004 00000003 08 0002 0004 00000042
        """)
    void takesDevicesOutOfThePackage(String why, String pings) throws IOException {
        assertThat(devices(LISTEN + DEVICES + (pings == null ? "" : pings) + RescueFixture.RUN))
                .isEqualTo(bytes(DEVICES));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        no LISTEN      | 04 00000009 03 "cpu" 00000000 00000002 01020304 7e 00000009 08 0005 0000 | LISTEN first
        no RUN         | 08 0004 0000 04 00000009 03 "cpu" 00000000 00000002 01020304 7e 00000009 | RUN last
        nothing at all | 08 0004 0000 08 0005 0000                                                | device sections
        half a command | 08 0004 00                                                               | LISTEN first
        no footer      | 08 0004 0000 04 00000009 03 "cpu" 00000000 00000002 01020304 08 0005 0000 | with footers
        no section     | 08 0004 0000 0000000000 7e 00000009 08 0005 0000                         | device sections
        """)
    void refusesPackages(String why, String packaged, String message) {
        assertThatThrownBy(() -> devices(packaged))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(message);
    }

    private static byte[] devices(String packaged) throws IOException {
        return KeptStream.parse(
                        new KeptParts(bytes(RescueFixture.PROLOGUE), bytes(RescueFixture.RAM_SETUP), bytes(packaged)))
                .devices();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        other section | 01 00000007 03 "rom" 00000000 00000004 0000000000000010 7e 00000007 | START of section 'ram'
        a part        | 02 00000007 0000000000000010 7e 00000007                            | START of section 'ram'
        old version   | 01 00000007 03 "ram" 00000000 00000003 0000000000000010 7e 00000007 | version 4
        no blocks     | 01 00000007 03 "ram" 00000000 00000004 0000000000000010 7e 00000007 | block list
        other footer  | 01 00000007 03 "ram" 00000000 00000004 0000000000001004 01 "m" 0000000000001000 0000000000000010 7e 00000008 | section id 7
        a page        | 01 00000007 03 "ram" 00000000 00000004 0000000000000002 01 "m" 00 0000000000000010 7e 00000007 | no pages
        """)
    void refusesRamSetups(String why, String setup, String message) {
        KeptParts kept = new KeptParts(bytes(RescueFixture.PROLOGUE), bytes(setup), new byte[0]);
        assertThatThrownBy(() -> KeptStream.parse(kept))
                .isInstanceOf(IOException.class)
                .hasMessageContaining(message);
    }

    @Test
    void refusesEveryCut() {
        KeptParts whole = RescueFixture.parts();
        for (int length = 1; length < whole.prologue().length; length++) {
            KeptParts cut = new KeptParts(Arrays.copyOf(whole.prologue(), length), whole.ramSetup(), whole.packaged());
            assertThatThrownBy(() -> KeptStream.parse(cut)).isInstanceOf(IOException.class);
        }
        for (int length = 1; length < whole.ramSetup().length; length++) {
            KeptParts cut = new KeptParts(whole.prologue(), Arrays.copyOf(whole.ramSetup(), length), whole.packaged());
            assertThatThrownBy(() -> KeptStream.parse(cut)).isInstanceOf(IOException.class);
        }
        for (int length = 1; length < whole.packaged().length; length++) {
            KeptParts cut = new KeptParts(whole.prologue(), whole.ramSetup(), Arrays.copyOf(whole.packaged(), length));
            assertThatThrownBy(() -> KeptStream.parse(cut)).isInstanceOf(IOException.class);
        }
    }

    @Test
    void refusesRamThatIsNotInTheStream() {
        String prologue = RescueFixture.PROLOGUE
                + "05 1a \"configuration/capabilities\" 00000001 00000001 0f \"x-ignore-shared\"";
        assertThatThrownBy(() -> KeptStream.parse(RescueFixture.parts(prologue)))
                .hasMessage("a migration with capability 'x-ignore-shared' cannot be rescued");
    }
}
