package io.migrationd.protocol.ram;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.junit.jupiter.api.Assertions.assertThrows;

import io.migrationd.protocol.wire.ChunkSource;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("RAM section decoder")
class RamSectionDecoderTest {
    /** Guest pages of 1 KiB: the smallest under which all flags fit. */
    private static RecordedRam ram() {
        return new RecordedRam().with("m0", 4).with("m1", 2);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        end mark            | 0000000000000010                                           | []
        its address ignored | 00000000deadfc10                                           | []
        CONTINUE with EOS   | 0000000000000030                                           | []
        zero page           | 0000000000000402 02 "m0" 00 0000000000000010               | [zero m0 0x400]
        full page           | 0000000000000c08 02 "m0" ab*1024 0000000000000010          | [page m0 0xc00 ab]
        same block          | 0000000000000002 02 "m1" 00 0000000000000422 00 0000000000000010 | [zero m1 0x0, zero m1 0x400]
        name again          | 0000000000000002 02 "m1" 00 0000000000000402 02 "m1" 00 0000000000000010 | [zero m1 0x0, zero m1 0x400]
        other block         | 0000000000000002 02 "m1" 00 0000000000000402 02 "m0" 00 0000000000000010 | [zero m1 0x0, zero m0 0x400]
        page sent twice     | 0000000000000008 02 "m1" 11*1024 0000000000000022 00 0000000000000010 | [page m1 0x0 11, zero m1 0x0]
        empty delta         | 0000000000000040 02 "m0" 01 0000 0000000000000010          | [delta m0 0x0 0 at 14]
        delta               | 0000000000000440 02 "m0" 01 0003 05 01 ff 0000000000000010 | [delta m0 0x400 3 at 14]
        empty block list    | 0000000000000004 0000000000000010                          | [list at 0]
        block list          | 0000000000001804 02 "m0" 0000000000001000 02 "m1" 0000000000000800 0000000000000010 | [block m0 0x1000/0x0 at 8, block m1 0x800/0x0 at 19, list at 0]
        list behind pages   | 0000000000000002 02 "m0" 00 0000000000000404 02 "r9" 0000000000000400 0000000000000422 00 0000000000000010 | [zero m0 0x0, block r9 0x400/0x0 at 20, list at 12, zero m0 0x400]
        """)
    void decodes(String what, String body, String records) throws IOException {
        StreamReader in = StreamReader.of(bytes(body + " ff"));

        assertThat(ram().decode(in)).as(what).hasToString(records);

        assertThat(in.readU8("behind the body")).isEqualTo(0xff);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        no flag                  | 0000000000000400                            | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0x0
        obsolete FULL            | 0000000000000001                            | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0x1
        ZERO and PAGE            | 000000000000000a 02 "m0"                    | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0xa
        PAGE and EOS             | 0000000000000018                            | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0x18
        CONTINUE alone           | 0000000000000020                            | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0x20
        HOOK without RDMA        | 0000000000000080                            | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0x80
        COMPRESS_PAGE            | 0000000000000100 02 "m0"                    | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0x100
        MULTIFD_FLUSH            | 0000000000000200                            | ram.flags at offset 0: expected one of ZERO, MEM_SIZE, PAGE, EOS, XBZRLE, got 0x200
        CONTINUE first: ZERO     | 0000000000000022 00                         | ram.block at offset 0: expected a block name, got CONTINUE before any block was named
        CONTINUE first: PAGE     | 0000000000000028 00*1024                    | ram.block at offset 0: expected a block name, got CONTINUE before any block was named
        CONTINUE first: XBZRLE   | 0000000000000060 01 0000                    | ram.block at offset 0: expected a block name, got CONTINUE before any block was named
        unknown block            | 0000000000000002 02 "m9" 00                 | ram.block at offset 8: expected one of [m0, m1], got m9
        empty name               | 0000000000000002 00 00                      | ram.block at offset 8: expected a name of 1 to 255 bytes, got an empty one
        ZERO behind the block    | 0000000000001002 02 "m0" 00                 | ram.offset at offset 0: expected an offset below 0x1000, got 0x1000
        PAGE behind the block    | 0000000000000808 02 "m1" 00*1024            | ram.offset at offset 0: expected an offset below 0x800, got 0x800
        XBZRLE behind the block  | 0000000000000840 02 "m1" 01 0000            | ram.offset at offset 0: expected an offset below 0x800, got 0x800
        offset of 2^63           | 8000000000000002 02 "m0" 00                 | ram.offset at offset 0: expected an offset below 0x1000, got 0x8000000000000000
        offset just below 2^64   | fffffffffffffc08 02 "m0" 00*1024            | ram.offset at offset 0: expected an offset below 0x1000, got 0xfffffffffffffc00
        zero page of ones        | 0000000000000002 02 "m0" 01                 | ram.zero at offset 11: expected fill byte 0, got 1
        delta mark               | 0000000000000040 02 "m0" 02 0000            | ram.xbzrle.mark at offset 11: expected 1, got 2
        delta above a page       | 0000000000000040 02 "m0" 01 0401            | ram.xbzrle.length at offset 12: expected at most 1024, got 1025
        bad delta                | 0000000000000040 02 "m0" 01 0003 05 00 ff   | ram.xbzrle.run at offset 15: expected 1 to 1 bytes, got 0
        list: total of 2^63      | 8000000000000004                            | ram.blocks.total at offset 0: expected a size below 2^63, got 9223372036854775808
        list: empty name         | 0000000000000404 00 0000000000000400        | ram.blocks.name at offset 8: expected a name of 1 to 255 bytes, got an empty one
        list: more than is left  | 0000000000000404 02 "m0" 0000000000000800   | ram.blocks.length at offset 11: expected a multiple of 1024 up to the remaining 0x400, got 0x800 for 'm0'
        list: length of 2^63     | 0000000000000404 02 "m0" 8000000000000000   | ram.blocks.length at offset 11: expected a multiple of 1024 up to the remaining 0x400, got 0x8000000000000000 for 'm0'
        list: block of nothing   | 0000000000000404 02 "m0" 0000000000000000   | ram.blocks.length at offset 11: expected a multiple of 1024 up to the remaining 0x400, got 0x0 for 'm0'
        list: part of a page     | 0000000000000804 02 "m0" 0000000000000600   | ram.blocks.length at offset 11: expected a multiple of 1024 up to the remaining 0x800, got 0x600 for 'm0'
        list: a block twice      | 0000000000000804 02 "m0" 0000000000000400 02 "m0" 0000000000000400 | ram.blocks.name at offset 19: expected each block once, got 'm0' again
        cut word                 | 00000000000000                              | ram.record at offset 0: expected 8 bytes, got end of input after 7 bytes
        no end mark              | 0000000000000002 02 "m0" 00                 | ram.record at offset 12: expected 8 bytes, got end of input after 0 bytes
        cut before the name      | 0000000000000002                            | ram.block at offset 8: expected 1 bytes, got end of input after 0 bytes
        cut name                 | 0000000000000002 02 "m"                     | ram.block at offset 9: expected 2 bytes, got end of input after 1 bytes
        cut before the fill byte | 0000000000000002 02 "m0"                    | ram.zero at offset 11: expected 1 bytes, got end of input after 0 bytes
        cut page                 | 0000000000000008 02 "m0" 00*1023            | ram.page at offset 11: expected 1024 bytes, got end of input after 1023 bytes
        cut second page          | 0000000000000008 02 "m0" 00*1024 0000000000000428 00*1023 | ram.page at offset 1043: expected 1024 bytes, got end of input after 1023 bytes
        cut delta length         | 0000000000000040 02 "m0" 01 00              | ram.xbzrle.length at offset 12: expected 2 bytes, got end of input after 1 bytes
        cut delta                | 0000000000000040 02 "m0" 01 0003 05 01      | ram.xbzrle.delta at offset 14: expected 3 bytes, got end of input after 2 bytes
        cut list                 | 0000000000000804 02 "m0" 0000000000000400   | ram.blocks.name at offset 19: expected 1 bytes, got end of input after 0 bytes
        cut length               | 0000000000000804 02 "m0" 00000000           | ram.blocks.length at offset 11: expected 8 bytes, got end of input after 4 bytes
        """)
    void rejects(String what, String body, String message) {
        StreamReader in = StreamReader.of(bytes(body));

        var e = assertThrows(ProtocolException.class, () -> ram().decode(in), what);

        assertThat(e).hasMessage(message);
    }

    @Test
    void refusesDeltasThatWereNotAgreedOn() {
        var decoder = new RamSectionDecoder<>(RecordedRam.PAGE, false, ram());
        StreamReader in = StreamReader.of(bytes("0000000000000040 02 \"m0\" 01 0003 05 01 ff 0000000000000010"));

        var e = assertThrows(ProtocolException.class, () -> decoder.decodeBody(in));

        assertThat(e).hasMessage("ram.flags at offset 0: expected no delta page, xbzrle is off, got XBZRLE");
    }

    @Test
    void refusesMoreBlocksThanAnyMachineHas() {
        WireWriter list = new WireWriter().writeLong(5000L * 1024 | RamFlags.MEM_SIZE);
        for (int i = 0; i < 5000; i++) {
            list.writeName("b" + i).writeLong(1024);
        }

        var e = assertThrows(ProtocolException.class, () -> ram().decode(StreamReader.of(list.toByteArray())));

        assertThat(e).hasMessageEndingWith("expected at most 4096 blocks, got one more");
    }

    @ParameterizedTest
    @ValueSource(ints = {0, 256, 1000, 131072, -4096})
    void isMadeForPagesOfAPowerOfTwo(int pageSizeBytes) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> new RamSectionDecoder<>(pageSizeBytes, true, ram()))
                .withMessage("a guest page of " + pageSizeBytes + " bytes");
    }

    @Test
    void remembersTheLastBlockBeyondTheEndOfABody() throws IOException {
        RecordedRam ram = ram();
        var decoder = new RamSectionDecoder<>(RecordedRam.PAGE, true, ram);
        StreamReader in = StreamReader.of(bytes("""
            0000000000000002 02 "m1" 00 0000000000000010
            0000000000000010
            0000000000000404 02 "x1" 0000000000000400 0000000000000010
            0000000000000422 00 0000000000000010"""));

        for (int body = 0; body < 4; body++) {
            decoder.decodeBody(in);
        }

        assertThat(ram.records).endsWith("zero m1 0x400");
        assertThat(in.atEnd()).isTrue();
    }

    @Test
    void aRefusedBlockLeavesTheLastOneInPlace() throws IOException {
        RecordedRam ram = ram();
        var decoder = new RamSectionDecoder<>(RecordedRam.PAGE, true, ram);
        decoder.decodeBody(StreamReader.of(bytes("0000000000000002 02 \"m1\" 00 0000000000000010")));
        assertThrows(
                ProtocolException.class,
                () -> decoder.decodeBody(StreamReader.of(bytes("0000000000000002 02 \"m9\" 00"))));

        decoder.decodeBody(StreamReader.of(bytes("0000000000000422 00 0000000000000010")));

        assertThat(ram.records).containsExactly("zero m1 0x0", "zero m1 0x400");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        not advised          | 0                | 0000000000400004 02 "m0" 0000000000400000                  0000000000000010 | block m0 0x400000/0x0 at 8
        only base pages      | 0000000000001000 | 0000000000400004 02 "m0" 0000000000400000                  0000000000000010 | block m0 0x400000/0x0 at 8
        huge pages announced | 0000000000201000 | 0000000000400004 02 "m0" 0000000000400000 0000000000200000 0000000000000010 | block m0 0x400000/0x200000 at 8
        firmware, base pages | 0000000000201000 | 0000000000001004 02 "m0" 0000000000001000                  0000000000000010 | block m0 0x1000/0x0 at 8
        """)
    void findsPageSizesAfterAdvise(String what, String summary, String body, String record) throws IOException {
        RecordedRam ram = ram();
        var decoder = new RamSectionDecoder<>(RecordedRam.PAGE, true, ram);
        decoder.advise(Long.parseUnsignedLong(summary, 16));

        decoder.decodeBody(StreamReader.of(bytes(body)));

        assertThat(ram.records).as(what).containsExactly(record, "list at 0");
    }

    @Test
    void takesPagesThatFollowEachOtherInOneBatch() throws IOException {
        RecordedRam ram = ram();

        ram.decode(StreamReader.of(bytes("""
            0000000000000008 02 "m0" 11*1024
            0000000000000428 22*1024
            0000000000000828 33*1024
            0000000000000c28 44*1024
            0000000000000010""")));

        assertThat(ram.batches).containsExactly(4);
        assertThat(ram.records)
                .containsExactly("page m0 0x0 11", "page m0 0x400 22", "page m0 0x800 33", "page m0 0xc00 44");
    }

    @Test
    void aBatchNeverLeavesTheBlock() {
        RecordedRam ram = ram();
        StreamReader in = StreamReader.of(bytes("""
            0000000000000008 02 "m1" 11*1024
            0000000000000428 22*1024
            0000000000000828 33*1024
            0000000000000010"""));

        var e = assertThrows(ProtocolException.class, () -> ram.decode(in));

        assertThat(e).hasMessage("ram.offset at offset 2067: expected an offset below 0x800, got 0x800");
        assertThat(ram.batches).containsExactly(2);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        a gap              | 0000000000000828 | [page m0 0x0 11, page m0 0x800 22]
        backwards          | 0000000000000028 | [page m0 0x0 11, page m0 0x0 22]
        a name again       | 0000000000000408 02 "m0" | [page m0 0x0 11, page m0 0x400 22]
        """)
    void endsABatchAt(String what, String second, String records) throws IOException {
        RecordedRam ram = ram();

        ram.decode(
                StreamReader.of(bytes("0000000000000008 02 \"m0\" 11*1024 " + second + " 22*1024 0000000000000010")));

        assertThat(ram.batches).as(what).containsExactly(1, 1);
        assertThat(ram.records).hasToString(records);
    }

    @Test
    void readsTheSameHoweverTheBytesArrive() throws IOException {
        byte[] body = bytes("""
            0000000000001804 02 "m0" 0000000000001000 02 "m1" 0000000000000800
            0000000000000008 02 "m0" 11*1024
            0000000000000428 22*1024
            0000000000000822 00
            0000000000000c28 44*1024
            0000000000000460 01 0003 05 01 ff
            0000000000000008 02 "m1" 55*1024
            0000000000000428 66*1024
            0000000000000010""");
        RecordedRam whole = ram();
        whole.decode(StreamReader.of(body));

        for (int cut = 1; cut < body.length; cut++) {
            RecordedRam ram = ram();
            ram.decode(new StreamReader(ChunkSource.of(
                    ByteBuffer.wrap(body, 0, cut).slice(),
                    ByteBuffer.wrap(body, cut, body.length - cut).slice())));
            assertSame(ram, whole, "cut at " + cut);
        }
        for (int piece : new int[] {1, 7, 8, 1023, 1024, 1032, 1033}) {
            RecordedRam ram = ram();
            ram.decode(new StreamReader(ChunkSource.of(pieces(body, piece))));
            assertSame(ram, whole, "pieces of " + piece);
        }
    }

    private static ByteBuffer[] pieces(byte[] bytes, int length) {
        List<ByteBuffer> pieces = new ArrayList<>();
        for (int at = 0; at < bytes.length; at += length) {
            pieces.add(ByteBuffer.wrap(bytes, at, Math.min(length, bytes.length - at))
                    .slice());
        }
        return pieces.toArray(ByteBuffer[]::new);
    }

    private static void assertSame(RecordedRam actual, RecordedRam expected, String why) {
        assertThat(actual.records).as(why).isEqualTo(expected.records);
        assertThat(actual.contents("m0")).as(why).isEqualTo(expected.contents("m0"));
        assertThat(actual.contents("m1")).as(why).isEqualTo(expected.contents("m1"));
    }

    @Test
    void aBodyThatIsCutAnywhereIsRefused() {
        byte[] body = bytes("""
            0000000000000404 02 "m0" 0000000000000400
            0000000000000008 02 "m0" 11*1024
            0000000000000822 00
            0000000000000460 01 0003 05 01 ff
            0000000000000010""");

        for (int length = 0; length < body.length; length++) {
            byte[] cut = java.util.Arrays.copyOf(body, length);
            var e = assertThrows(ProtocolException.class, () -> ram().decode(StreamReader.of(cut)), "cut at " + length);
            assertThat(e).hasMessageContaining("got end of input after");
        }
    }
}
