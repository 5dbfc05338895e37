package io.migrationd.protocol.ram;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.migrationd.protocol.wire.ProtocolException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.util.Arrays;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("XBZRLE delta")
class XbzrleDeltaTest {
    private static final int PAGE = 4096;
    /** Captured from QEMU 10.0: three runs, the last one at the page's last byte. */
    private static final String CAPTURED = "10 03 ade7e3 ed0f 01 6b fe0f 01 6b";

    private static byte[] apply(String delta, byte[] page) throws ProtocolException {
        XbzrleDelta.apply(ByteBuffer.wrap(bytes(delta)), 100, MemorySegment.ofArray(page), 0, page.length);
        return page;
    }

    private static int encode(byte[] before, byte[] now, byte[] out, int limit) {
        return XbzrleDelta.encode(
                MemorySegment.ofArray(before),
                0,
                MemorySegment.ofArray(now),
                0,
                before.length,
                MemorySegment.ofArray(out),
                0,
                limit);
    }

    @Test
    void appliesACapturedDelta() throws ProtocolException {
        byte[] page = apply(CAPTURED, new byte[PAGE]);

        assertThat(page).isEqualTo(bytes("00*16 ade7e3 00*2029 6b 00*2046 6b"));
    }

    @Test
    void encodesAsQemuDoes() {
        byte[] now = bytes("00*16 ade7e3 00*2029 6b 00*2046 6b");
        byte[] out = new byte[PAGE];

        int length = encode(new byte[PAGE], now, out, PAGE);

        assertThat(Arrays.copyOf(out, length)).isEqualTo(bytes(CAPTURED));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        nothing changed     | aa*4096                   | ``
        first byte          | bb aa*4095                | 00 01 bb
        last byte           | aa*4095 bb                | ff1f 01 bb
        skip of one byte    | aa*127 bb aa*3968         | 7f 01 bb
        skip of two bytes   | aa*128 bb aa*3967         | 8001 01 bb
        run of 127          | bb*127 aa*3969            | 00 7f bb*127
        run of 128          | bb*128 aa*3968            | 00 8001 bb*128
        two runs            | bb aa bb aa*4093          | 00 01 bb 01 01 bb
        across a word       | aa*7 bb*2 aa*4087         | 07 02 bb*2
        """)
    void encodes(String what, String now, String delta) {
        byte[] before = bytes("aa*4096");
        byte[] out = new byte[PAGE];

        int length = encode(before, bytes(now), out, PAGE);

        assertThat(Arrays.copyOf(out, length)).as(what).isEqualTo(bytes(delta));
    }

    @Test
    void doesNotWriteMoreThanTheLimit() {
        byte[] out = new byte[16];

        assertThat(encode(new byte[PAGE], bytes("00*16 ade7e3 00*4077"), out, 5))
                .isEqualTo(5);
        assertThat(encode(new byte[PAGE], bytes("00*16 ade7e3 00*4077"), out, 4))
                .isEqualTo(XbzrleDelta.OVERFLOW);
    }

    @Test
    void aPageThatChangedWhollyDoesNotFitItself() {
        assertThat(encode(new byte[PAGE], bytes("11*4096"), new byte[PAGE], PAGE))
                .isEqualTo(XbzrleDelta.OVERFLOW);
    }

    /** A run's length has 14 bits; QEMU's own encoder aborts on such pages. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        changed bytes   | 11*16384 00*49152
        unchanged bytes | 00*16384 11 00*49151
        """)
    void aRunThatTheFormatCannotWriteIsNoDelta(String what, String now) {
        assertThat(encode(new byte[65536], bytes(now), new byte[65536], 65536))
                .as(what)
                .isEqualTo(XbzrleDelta.OVERFLOW);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        one byte                      | 10                  | ram.xbzrle.run at offset 100: expected at least 2 bytes, got 1 bytes
        skip without run              | 10 03 ade7e3 05     | ram.xbzrle.run at offset 105: expected at least 2 bytes, got 1 bytes
        run without bytes             | 10 03               | ram.xbzrle.run at offset 101: expected at least 2 bytes, got 1 bytes
        two-byte skip, nothing behind | 8001                | ram.xbzrle.run at offset 102: expected at least 2 bytes, got 0 bytes
        skip of three bytes           | 808001 01 6b        | ram.xbzrle.uleb at offset 100: expected a number of at most two bytes, got a third one
        run of three bytes            | 00 808001 6b        | ram.xbzrle.uleb at offset 101: expected a number of at most two bytes, got a third one
        empty run                     | 10 00 6b            | ram.xbzrle.run at offset 101: expected 1 to 1 bytes, got 0
        run longer than the input     | 10 04 ade7e3        | ram.xbzrle.run at offset 101: expected 1 to 3 bytes, got 4
        second skip of 0              | 00 01 6b 00 01 6b   | ram.xbzrle.skip at offset 103: expected more than 0, got 0
        skip to the page's end        | 8020 01 6b          | ram.xbzrle.run at offset 100: expected bytes within the page of 4096, got 4096 to 4097
        run over the page's end       | ff1f 02 6b6b        | ram.xbzrle.run at offset 100: expected bytes within the page of 4096, got 4095 to 4097
        second run over the end       | ff1f 01 6b 01 01 6b | ram.xbzrle.run at offset 104: expected bytes within the page of 4096, got 4097 to 4098
        longest skip                  | ff7f 01 6b          | ram.xbzrle.run at offset 100: expected bytes within the page of 4096, got 16383 to 16384
        """)
    void rejects(String what, String delta, String message) {
        byte[] page = new byte[PAGE];

        var e = assertThrows(ProtocolException.class, () -> apply(delta, page), what);

        assertThat(e).hasMessage(message);
    }

    @Test
    void anEmptyDeltaChangesNothing() throws ProtocolException {
        assertThat(apply("", bytes("42*4096"))).isEqualTo(bytes("42*4096"));
    }

    @Test
    void readsFromThePositionOfItsBuffer() throws ProtocolException {
        byte[] page = new byte[PAGE];
        ByteBuffer delta =
                ByteBuffer.wrap(bytes("ffffff 02 01 6b ffff")).position(3).limit(6);

        XbzrleDelta.apply(delta, 0, MemorySegment.ofArray(page), 0, PAGE);

        assertThat(page).isEqualTo(bytes("0000 6b 00*4093"));
    }
}
