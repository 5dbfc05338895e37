package io.migrationd.protocol.multifd;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.multifd.MultifdPacket.DeviceState;
import io.migrationd.protocol.multifd.MultifdPacket.Pages;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.Arrays;
import java.util.UUID;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Multifd codecs")
class MultifdCodecTest {
    private static final UUID MACHINE = UUID.fromString("12345678-9abc-def0-1122-334455667788");
    private static final String HELLO = "11223344 00000001 123456789abcdef01122334455667788 01 00*7 00*32";
    /** With guest pages of 64 KiB a packet has room for 8 offsets: 384 bytes of header. */
    private static final int PAGE = 65536;

    private static final String TWO_PAGES_ONE_ZERO = """
            11223344 00000001 00000000  00000008 00000002 00020000  0000000000000007  00000001 00*4 00*24
            "m0" 00*254
            0000000000010000 0000000000030000 0000000000020000 00*40""";

    @Test
    void readsAndWritesAHello() throws IOException {
        StreamReader in = StreamReader.of(bytes(HELLO));
        assertThat(MultifdHelloCodec.read(in)).isEqualTo(new MultifdHello(MACHINE, 1));
        assertThat(in.offset()).isEqualTo(MultifdHelloCodec.LENGTH);
        WireWriter out = new WireWriter();
        MultifdHelloCodec.write(new MultifdHello(MACHINE, 1), out);
        assertThat(out.toByteArray()).isEqualTo(bytes(HELLO));
    }

    @Test
    void ignoresReservedBytesOfAHello() throws IOException {
        String text = "11223344 00000001 123456789abcdef01122334455667788 01 ff*7 ff*32";
        assertThat(MultifdHelloCodec.read(StreamReader.of(bytes(text)))).isEqualTo(new MultifdHello(MACHINE, 1));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            bad magic   | 11223345 00000001 00*56 | multifd.hello.magic at offset 0: expected 0x11223344, got 0x11223345
            bad version | 11223344 00000002 00*56 | multifd.hello.version at offset 4: expected 1, got 2
            short       | 11223344 00000001 00*55 | multifd.hello.reserved at offset 63: expected 1 bytes, got end of input after 0 bytes
            """)
    void refusesAHello(String why, String text, String message) {
        assertThatThrownBy(() -> MultifdHelloCodec.read(StreamReader.of(bytes(text))), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void refusesAHelloThatDoesNotFitHere() throws ProtocolException {
        UUID none = new UUID(0, 0);
        MultifdHelloCodec.check(new MultifdHello(none, 1), 0, none, 2, id -> id == 0);
        assertThatThrownBy(() -> MultifdHelloCodec.check(new MultifdHello(MACHINE, 1), 0, none, 2, _ -> false))
                .hasMessage("multifd.hello.uuid at offset 8: expected 00000000-0000-0000-0000-000000000000,"
                        + " got 12345678-9abc-def0-1122-334455667788");
        assertThatThrownBy(() -> MultifdHelloCodec.check(new MultifdHello(none, 2), 0, none, 2, _ -> false))
                .hasMessage("multifd.hello.channel at offset 24: expected 0 to 1, got 2");
        assertThatThrownBy(() -> MultifdHelloCodec.check(new MultifdHello(none, 1), 0, none, 2, id -> id == 1))
                .hasMessage("multifd.hello.channel at offset 24: expected a channel that is not open yet, got 1");
    }

    @Test
    void readsAndWritesPages() throws IOException {
        MultifdPacketCodec codec = new MultifdPacketCodec(PAGE, MultifdCompression.NONE);
        StreamReader in = StreamReader.of(bytes(TWO_PAGES_ONE_ZERO));
        Pages packet = (Pages) codec.read(in);
        assertThat(packet.sync()).isFalse();
        assertThat(packet.packetNumber()).isEqualTo(7);
        assertThat(packet.block()).isEqualTo("m0");
        assertThat(packet.normalPages()).containsExactly(0x10000, 0x30000);
        assertThat(packet.zeroPages()).containsExactly(0x20000);
        assertThat(packet.payloadBytes()).isEqualTo(2 * PAGE);
        assertThat(in.offset()).isEqualTo(codec.headerBytes()).isEqualTo(384);
        WireWriter out = new WireWriter();
        codec.write(packet, out);
        assertThat(out.toByteArray()).isEqualTo(bytes(TWO_PAGES_ONE_ZERO));
    }

    @Test
    void takesNothingFromAPacketWithoutPages() throws IOException {
        // As 7.2 sends it: SYNC, leftovers of compression, size, name and offsets of an earlier packet.
        String text = "11223344 00000001 00000003  00000008 00000000 00020000  0000000000000007"
                + " 00000000 ff*28 ff*256 ff*64";
        Pages packet = (Pages) new MultifdPacketCodec(PAGE, MultifdCompression.NONE).read(StreamReader.of(bytes(text)));
        assertThat(packet.sync()).isTrue();
        assertThat(packet.payloadBytes()).isZero();
        assertThat(packet.block()).isEmpty();
        assertThat(packet.normalPages()).isEmpty();
    }

    @Test
    void readsAndWritesDeviceState() throws IOException {
        String text = "11223344 00000001 00000040 \"vfio\" 00*252 00000001 00000002 aabb";
        StreamReader in = StreamReader.of(bytes(text));
        MultifdPacketCodec codec = new MultifdPacketCodec(PAGE);
        MultifdPacket packet = codec.read(in);
        assertThat(packet).isEqualTo(new DeviceState(0, "vfio", 1, 2));
        assertThat(in.offset()).isEqualTo(276);
        WireWriter out = new WireWriter();
        codec.write(packet, out);
        assertThat(out.toByteArray()).isEqualTo(Arrays.copyOf(bytes(text), 276));
    }

    @Test
    void hasPacketsOf1344BytesForPagesOf4KiB() {
        assertThat(new MultifdPacketCodec(4096).headerBytes()).isEqualTo(1344);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            bad magic             | 11223340 00000001                                            | multifd.packet.magic at offset 0: expected 0x11223344, got 0x11223340
            bad version           | 11223344 00000003                                            | multifd.packet.version at offset 4: expected 1, got 3
            unknown flag          | 11223344 00000001 00000080                                   | multifd.packet.flags at offset 8: expected flags within 0x7f, got 0x80
            two compressions      | 11223344 00000001 00000006 00000008 00000001 00010000 00*360 | multifd.packet.flags at offset 8: expected one compression method, got 0x6
            other compression     | 11223344 00000001 00000002 00000008 00000001 00010000 00*360 | multifd.packet.flags at offset 8: expected compression NONE, got ZLIB
            zero pages compressed | 11223344 00000001 00000004 00000008 00000000 00000000 00*8 00000001 00*348 | multifd.packet.flags at offset 8: expected compression NONE, got ZSTD
            many allocated        | 11223344 00000001 00000000 00000009 00000000 00000000 00*360 | multifd.packet.pages-alloc at offset 12: expected at most 8, got 9
            negative count        | 11223344 00000001 00000000 00000008 ffffffff 00000000 00*360 | multifd.packet.normal-pages at offset 16: expected at most 8, got 4294967295
            many normal pages     | 11223344 00000001 00000000 00000002 00000003 00000000 00*360 | multifd.packet.normal-pages at offset 16: expected at most 2, got 3
            many zero pages       | 11223344 00000001 00000000 00000002 00000001 00010000 00*8 00000002 00*348 | multifd.packet.zero-pages at offset 32: expected at most 1, got 2
            payload size          | 11223344 00000001 00000000 00000008 00000001 00010001 00*360 | multifd.packet.next-packet-size at offset 20: expected 65536 bytes, 1 pages, got 65537
            no name               | 11223344 00000001 00000000 00000008 00000001 00010000 00*360 | multifd.packet.block at offset 64: expected a name of 1 to 255 bytes and its NUL, got an empty one
            name without end      | 11223344 00000001 00000000 00000008 00000001 00010000 00*40 61*256 00*64 | multifd.packet.block at offset 64: expected a name of 1 to 255 bytes and its NUL, got no NUL within 256 bytes
            unaligned offset      | 11223344 00000001 00000000 00000008 00000001 00010000 00*40 "m0" 00*254 0000000000001000 00*56 | multifd.packet.page at offset 320: expected a multiple of 65536, got 0x1000
            negative offset       | 11223344 00000001 00000000 00000008 00000001 00010000 00*40 "m0" 00*254 ffffffffffff0000 00*56 | multifd.packet.page at offset 320: expected a multiple of 65536, got 0xffffffffffff0000
            cut header            | 11223344 00000001 00000000 00000008                          | multifd.packet.header at offset 12: expected 372 bytes, got end of input after 4 bytes
            device state and SYNC | 11223344 00000001 00000041                                   | multifd.packet.flags at offset 8: expected 0x40 alone for device state, got 0x41
            device without end    | 11223344 00000001 00000040 61*256 00*8                       | multifd.device-state.idstr at offset 12: expected a name of 1 to 255 bytes and its NUL, got no NUL within 256 bytes
            empty device state    | 11223344 00000001 00000040 "vfio" 00*252 00000000 00000000   | multifd.device-state.size at offset 272: expected 1 to 134217728 bytes, got 0
            huge device state     | 11223344 00000001 00000040 "vfio" 00*252 00000000 ffffffff   | multifd.device-state.size at offset 272: expected 1 to 134217728 bytes, got 4294967295
            """)
    void refusesAPacket(String why, String text, String message) {
        MultifdPacketCodec codec = new MultifdPacketCodec(PAGE, MultifdCompression.NONE);
        assertThatThrownBy(() -> codec.read(StreamReader.of(bytes(text))), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void boundsCompressedPayloads() {
        String text = "11223344 00000001 00000002  00000008 00000001 00100001 00*40 \"m0\" 00*254 00*64";
        assertThatThrownBy(
                        () -> new MultifdPacketCodec(PAGE, MultifdCompression.ZLIB).read(StreamReader.of(bytes(text))))
                .hasMessage("multifd.packet.next-packet-size at offset 20: expected at most 1048576 bytes,"
                        + " got 1048577");
    }

    @Test
    void refusesPagesOutsideOfTheirBlock() throws IOException {
        MultifdPacketCodec codec = new MultifdPacketCodec(PAGE);
        Pages packet = (Pages) codec.read(StreamReader.of(bytes(TWO_PAGES_ONE_ZERO)));
        codec.checkInside(packet, 0x40000);
        assertThatThrownBy(() -> codec.checkInside(packet, 0x30000))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("multifd.packet.page at offset 328: expected an offset below 0x30000, got 0x30000");
    }
}
