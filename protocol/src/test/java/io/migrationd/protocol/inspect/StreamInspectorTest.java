package io.migrationd.protocol.inspect;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Stream inspector")
class StreamInspectorTest {
    /** 15 bytes. */
    private static final String HEAD = "\"QEVM\" 00000003 07 00000002 \"pc\" ";
    /** Block m0 of two pages; 49 bytes, so that what follows {@link #HEAD} and this starts at 64. */
    private static final String RAM = "01 00000001 03 \"ram\" 00000000 00000004"
            + " 0000000000002004 02 \"m0\" 0000000000002000 0000000000000010 7e 00000001 ";
    /** OPEN_RETURN_PATH, ADVISE with 4 KiB and 2 MiB pages; 26 bytes. */
    private static final String POSTCOPY = "08 0001 0000 08 0003 0010 0000000000201000 0000000000001000 ";

    private static final String EMPTY_END = "03 00000001 0000000000000010 7e 00000001 ";
    private static final String DEVICE = "04 00000002 05 \"timer\" 00000000 00000002 aabbccdd 7e 00000002 ";
    private static final String EOF = "00 ";

    private final List<InspectItem> items = new ArrayList<>();

    @Test
    void showsAStream() throws IOException {
        InspectResult result = inspect(HEAD
                + RAM
                + "02 00000001 0000000000000008 02 \"m0\" 55*4096 0000000000001022 00 0000000000000010 7e 00000001 "
                + "08 000b 0000 "
                + EMPTY_END
                + DEVICE
                + EOF
                + "06 00000002 \"{}\"");
        assertThat(result.fault()).isEmpty();
        assertThat(items.stream().map(ItemText::line))
                .containsExactly("""
                           0  header         version=3
                           8  configuration  machine=pc
                          15  START          section=ram id=1 instance=0 version=4 ram_bytes=8192 bytes=27 mem_size=1 eos=1
                          40    block        name=m0 bytes=8192
                          64  PART           section=ram id=1 bytes=4124 page=1 continue=1 zero=1 eos=1
                        4198  COMMAND        command=SWITCHOVER_START
                        4203  END            section=ram id=1 bytes=8 eos=1
                        4221  FULL           section=timer id=2 instance=0 version=2 bytes=4 by=footer
                        4249  EOF
                        4250  DESCRIPTION    bytes=2 devices=0 page_size=0
                        4250  note           0 devices are described, 1 FULL sections were found
                """.stripTrailing().split("\n"));
    }

    @Test
    void showsAPackageBelowItsCommand() throws IOException {
        // LISTEN 5, device 28, RUN 5 bytes.
        InspectResult result = inspect(HEAD + POSTCOPY + RAM + "08 0007 0004 00000026 " + "08 0004 0000 " + DEVICE
                + "08 0005 0000 " + EMPTY_END + EOF);
        assertThat(result.fault()).isEmpty();
        assertThat(items.stream().filter(item -> item.offset() >= 90).map(ItemText::line))
                .containsExactly("""
                          90  COMMAND        command=PACKAGED bytes=38
                          99    COMMAND      command=POSTCOPY_LISTEN
                         104    FULL         section=timer id=2 instance=0 version=2 bytes=4 by=footer
                         132    COMMAND      command=POSTCOPY_RUN
                         137  END            section=ram id=1 bytes=8 eos=1
                         155  EOF
                """.stripTrailing().split("\n"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            type 5 in the loop         | 05                                     | element.type at offset 64: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x05 (SUBSECTION, legal inside device state only) (in the section loop)
            empty idstr                | 04 00000002 00                         | section.idstr at offset 69: expected a name of 1 to 255 bytes, got an empty one (in the section loop)
            ram version                | 01 00000003 03 "ram" 00000000 00000005 | section.version of 'ram' at offset 77: expected 4, got 5 (in the stream)
            dirty-bitmap version       | 01 00000003 0c "dirty-bitmap" 00000000 00000002 | section.version of 'dirty-bitmap' at offset 86: expected 1, got 2 (in the stream)
            PART of an unknown id      | 02 00000007                            | section.id at offset 65: expected the id of a section that has started, got 7 in a PART (in the stream)
            END of an unknown id       | 03 00000007                            | section.id at offset 65: expected the id of a section that has started, got 7 in a END (in the stream)
            no footer                  | 02 00000001 0000000000000010 00        | section.footer of 'ram' at offset 77: expected 0x7e, the end of the section, got 0x00 (in PART of section 'ram' (id 1), which starts at offset 64)
            footer of another section  | 02 00000001 0000000000000010 7e 00000002 | section.footer of 'ram' at offset 78: expected section id 1, got 2 (in PART of section 'ram' (id 1), which starts at offset 64)
            PING without return path   | 08 0002 0004 00000001                  | command at offset 64: expected an open return path before PING, got none (in the stream)
            LISTEN before ADVISE       | 08 0004 0000                           | command.postcopy-state at offset 64: expected a command that is legal in state NONE, got LISTEN (in the stream)
            RUN before LISTEN          | 08 0005 0000                           | command.postcopy-state at offset 64: expected a command that is legal in state NONE, got RUN (in the stream)
            DISCARD before ADVISE      | 08 0006 0015 00 02 "m0" 00 0000000000000000 0000000000001000 | command.postcopy-state at offset 64: expected a command that is legal in state NONE, got DISCARD (in the stream)
            ADVISE of another page     | 08 0003 0010 0000000000001000 0000000000000200 | command.postcopy-advise.target-page-size at offset 77: expected a power of two from 1024 to 65536, got 512 (in the stream)
            RECV_BITMAP of no block    | 08 000a 0003 02 "m1"                   | command.block at offset 64: expected a block of the block list, got 'm1' (in the stream)
            package above the limit    | 08 0007 0004 08000001                  | command.packaged.size at offset 69: expected at most 134217728 bytes, got 134217729 (in the stream)
            no RAM flag                | 02 00000001 0000000000000000           | ram.flags at offset 69: expected exactly one record flag of 0x3de, got 0x0 (in the RAM record at offset 69 (page 0x0) in PART of section 'ram' (id 1), which starts at offset 64)
            two RAM flags              | 02 00000001 000000000000000a           | ram.flags at offset 69: expected exactly one record flag of 0x3de, got 0xa (in the RAM record at offset 69 (page 0x0) in PART of section 'ram' (id 1), which starts at offset 64)
            obsolete RAM flag          | 02 00000001 0000000000000001           | ram.flags at offset 69: expected exactly one record flag of 0x3de, got 0x1 (in the RAM record at offset 69 (page 0x0) in PART of section 'ram' (id 1), which starts at offset 64)
            HOOK                       | 02 00000001 0000000000000080           | ram.flags at offset 69: expected no HOOK, which is for RDMA only, got 0x80 (in the RAM record at offset 69 (page 0x0) in PART of section 'ram' (id 1), which starts at offset 64)
            CONTINUE of nothing        | 02 00000001 0000000000000022           | ram.block at offset 69: expected a block name, got CONTINUE before any block was named (in the RAM record at offset 69 (page 0x0) in PART of section 'ram' (id 1), which starts at offset 64)
            unknown block              | 02 00000001 0000000000000002 02 "m1"   | ram.block at offset 77: expected a block of the block list, got 'm1' (in the RAM record at offset 69 (page 0x0) in PART of section 'ram' (id 1), which starts at offset 64)
            page outside               | 02 00000001 0000000000002002 02 "m0"   | ram.offset at offset 69: expected an offset below 0x2000, the length of 'm0', got 0x2000 (in the RAM record at offset 69 (page 0x2000 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            fill byte                  | 02 00000001 0000000000000002 02 "m0" 01 | ram.zero at offset 80: expected fill byte 0, got 1 (in the RAM record at offset 69 (page 0x0 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            delta mark                 | 02 00000001 0000000000000040 02 "m0" 02 | ram.xbzrle.mark at offset 80: expected 1, got 2 (in the RAM record at offset 69 (page 0x0 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            delta above a page         | 02 00000001 0000000000000040 02 "m0" 01 1001 | ram.xbzrle.length at offset 81: expected at most 4096, got 4097 (in the RAM record at offset 69 (page 0x0 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            delta of nothing           | 02 00000001 0000000000000040 02 "m0" 01 0002 0000 | ram.xbzrle.run at offset 84: expected at least 2 bytes, got 1 bytes (in the RAM record at offset 69 (page 0x0 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            compressed above the bound | 02 00000001 0000000000000100 02 "m0" 0000100f | ram.compress.length at offset 80: expected at most 4110, got 4111 (in the RAM record at offset 69 (page 0x0 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            compressed nonsense        | 02 00000001 0000000000000100 02 "m0" 00000002 ffff | ram.compress.data at offset 84: expected a zlib stream of one page, got something else (in the RAM record at offset 69 (page 0x0 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            compressed short page      | 02 00000001 0000000000000100 02 "m0" 00000008 789c030000000001 | ram.compress.data at offset 84: expected a zlib stream of one page, got one of another size (in the RAM record at offset 69 (page 0x0 of block 'm0') in PART of section 'ram' (id 1), which starts at offset 64)
            length above the total     | 02 00000001 0000000000001004 02 "m0" 0000000000002000 | ram.blocks.length at offset 80: expected a multiple of 4096 up to the remaining 0x1000, got 0x2000 for 'm0' (in the RAM record at offset 69 (page 0x1000) in PART of section 'ram' (id 1), which starts at offset 64)
            length of half a page      | 02 00000001 0000000000001004 02 "m0" 0000000000000800 | ram.blocks.length at offset 80: expected a multiple of 4096 up to the remaining 0x1000, got 0x800 for 'm0' (in the RAM record at offset 69 (page 0x1000) in PART of section 'ram' (id 1), which starts at offset 64)
            a block twice              | 02 00000001 0000000000002004 02 "m0" 0000000000001000 02 "m0" | ram.blocks.name at offset 88: expected each block once, at most 4096, got 'm0' (in the RAM record at offset 69 (page 0x2000) in PART of section 'ram' (id 1), which starts at offset 64)
            negative total             | 02 00000001 8000000000000004           | ram.blocks.total at offset 69: expected a size below 2^63, got 9223372036854775808 (in the RAM record at offset 69 (page 0x8000000000000000) in PART of section 'ram' (id 1), which starts at offset 64)
            """)
    void findsTheFaultInALoop(String why, String text, String message) throws IOException {
        InspectResult result = inspect(HEAD + RAM + text);
        assertThat(result.fault()).as(why).isPresent();
        assertThat(result.fault().get().message()).isEqualTo(message);
        assertThat(result.fault().get().truncated()).isFalse();
        assertThat(items).anyMatch(item -> item.what().equals("block"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            second ADVISE         | 08 0003 0000 | command.postcopy-state at offset 90: expected a command that is legal in state ADVISED, got ADVISE (in the stream)
            DISCARD misaligned    | 08 0006 0015 00 02 "m0" 00 0000000000000800 0000000000001000 | command.postcopy-ram-discard.range at offset 90: expected multiples of 0x1000 within the 0x2000 bytes of 'm0', got 0x1000 bytes from 0x800 on (in the stream)
            DISCARD outside       | 08 0006 0015 00 02 "m0" 00 0000000000001000 0000000000002000 | command.postcopy-ram-discard.range at offset 90: expected multiples of 0x1000 within the 0x2000 bytes of 'm0', got 0x2000 bytes from 0x1000 on (in the stream)
            DISCARD of no block   | 08 0006 0015 00 02 "m1" 00 0000000000000000 0000000000001000 | command.block at offset 90: expected a block of the block list, got 'm1' (in the stream)
            FLUSH after LISTEN    | 08 0004 0000 02 00000001 0000000000000200 | ram.flags at offset 100: expected ZERO, PAGE, COMPRESS_PAGE or EOS after POSTCOPY_LISTEN, got 0x200 (in the RAM record at offset 100 (page 0x0) in PART of section 'ram' (id 1), which starts at offset 95)
            PACKAGED in a package | 08 0007 0004 0000000a 08 0007 0004 00000001 00 | command at offset 99: expected no PACKAGED inside a package, got one (in the package of 10 bytes at offset 99)
            bytes after RUN       | 08 0007 0004 0000000b 08 0004 0000 08 0005 0000 00 | command.packaged at offset 109: expected the end of the package, got 1 bytes left (in the package of 11 bytes at offset 99)
            package without RUN   | 08 0007 0004 00000005 08 0004 0000 00 | ends inside the section loop in the package of 5 bytes at offset 99: element.type at offset 104: expected 1 bytes, got end of input after 0 bytes
            package cut           | 08 0007 0004 00000020 08 0004 0000    | ends inside the section loop in the package of 32 bytes at offset 99: element.type at offset 104: expected 1 bytes, got end of input after 0 bytes
            """)
    void findsTheFaultInAPostcopyStream(String why, String text, String message) throws IOException {
        InspectResult result = inspect(HEAD + POSTCOPY + RAM + text);
        assertThat(result.fault()).as(why).isPresent();
        assertThat(result.fault().get().message()).isEqualTo(message);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            a foreign page    | 0000000000000008 02 "m0" 00*4096 0000000000200022 | ram.host-page at offset 4220: expected the rest of host page 0x0 of 'm0', 1 of 512 guest pages came, got page 0x200000 of 'm0'
            the end of a body | 0000000000000008 02 "m0" 00*4096 0000000000000010 | ram.host-page at offset 4220: expected the rest of host page 0x0 of 'm0', got the end mark after 1 guest pages
            """)
    void findsAHostPageThatIsSplit(String why, String text, String message) throws IOException {
        String hugeRam = "01 00000001 03 \"ram\" 00000000 00000004 0000000000400004"
                + " 02 \"m0\" 0000000000400000 0000000000200000 0000000000000010 7e 00000001 ";
        InspectResult result = inspect(HEAD + POSTCOPY + hugeRam + "08 0004 0000 08 0005 0000 02 00000001 " + text);
        assertThat(result.fault()).as(why).isPresent();
        assertThat(result.fault().get().message()).startsWith(message);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            dirty-bitmap: flag 0x80     | 0c "dirty-bitmap" 00000000 00000001 80    | dirty-bitmap.flags at offset 90: expected at most one of START 0x10, COMPLETE 0x20, BITS 0x40 and no 0x80, got 0x80
            dirty-bitmap: two kinds     | 0c "dirty-bitmap" 00000000 00000001 30    | dirty-bitmap.flags at offset 90: expected at most one of START 0x10, COMPLETE 0x20, BITS 0x40 and no 0x80, got 0x30
            dirty-bitmap: empty alias   | 0c "dirty-bitmap" 00000000 00000001 1c 00 | dirty-bitmap.node at offset 91: expected a name of 1 to 255 bytes, got an empty one
            dirty-bitmap: start flags   | 0c "dirty-bitmap" 00000000 00000001 1c 01 "n" 01 "b" 00010000 08 | dirty-bitmap.start-flags at offset 99: expected bits 0 to 2, got 0x08
            dirty-bitmap: size          | 0c "dirty-bitmap" 00000000 00000001 40 0000000000000000 00000080 0000000000002801 | dirty-bitmap.size at offset 103: expected at most 10240 bytes, got 10241
            block: flags                | 05 "block" 00000000 00000001 0000000000000003 | block.flags at offset 83: expected 0x1, 0x9, 0x2 or 0x4, got 0x3
            vfio: tag                   | 04 "vfio" 00000000 00000001 ffffffffef100006  | vfio.tag at offset 82: expected 0xffffffffef100001 to 0xffffffffef100005, got 0xffffffffef100006
            vfio: setup without end     | 04 "vfio" 00000000 00000001 ffffffffef100003 0000000000000000 | vfio.setup at offset 90: expected the end tag 0xffffffffef100001, got 0x0
            vfio: config without end    | 04 "vfio" 00000000 00000001 ffffffffef100002 00*64 | vfio.config at offset 90: expected the end tag 0xffffffffef100001, got none
            vfio: negative size         | 04 "vfio" 00000000 00000001 ffffffffef100004 8000000000000000 | vfio.data.size at offset 90: expected a size below 2^63, got 9223372036854775808
            s390: flags                 | 17 "s390-storage_attributes" 00000000 00000000 0000000000000003 | stattrib.flags at offset 101: expected 0x1, 0x2 or 0x8, got 0x3
            s390: error                 | 17 "s390-storage_attributes" 00000000 00000000 0000000000000004 | stattrib.flags at offset 101: expected 0x1, 0x2 or 0x8, got 0x4, an error of the source
            htab: shift                 | 0a "spapr/htab" 00000000 00000001 0000002f      | htab.shift at offset 88: expected 1 to 46, got 47
            """)
    void findsTheFaultInOtherSections(String why, String start, String message) throws IOException {
        InspectResult result = inspect(HEAD + RAM + "01 00000003 " + start);
        assertThat(result.fault()).as(why).isPresent();
        assertThat(result.fault().get().message()).startsWith(message + " (in START of section ");
    }

    @Test
    void findsAHashTableIndexOutOfRange() throws IOException {
        String start = "01 00000003 0a \"spapr/htab\" 00000000 00000001 00000012 7e 00000003 ";
        InspectResult result = inspect(HEAD + RAM + start + "02 00000003 00000000 00003fff 0001 0001");
        assertThat(result.fault().orElseThrow().message())
                .startsWith("htab.index at offset 106: expected entries below 16384, got 16383 and 2 more");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            dirty-bitmap | 01 00000003 0c "dirty-bitmap" 00000000 00000001 1c 01 "n" 01 "b" 00010000 01 01 7e 00000003 03 00000003 42 0000000000000000 00002000 40 0000000000002000 00000080 0000000000000020 00*32 20 01 7e 00000003
            block        | 01 00000003 05 "block" 00000000 00000001 0000000000000209 01 "d" 0000000000000001 01 "d" aa*1048576 0000000000002c04 0000000000000002 7e 00000003
            vfio         | 01 00000003 11 "0000:00:05.0/vfio" 00000000 00000001 ffffffffef100003 ffffffffef100001 7e 00000003 02 00000003 ffffffffef100004 0000000000000002 aabb ffffffffef100005 7e 00000003 03 00000003 ffffffffef100002 aabbcc ffffffffef100001 7e 00000003
            stattrib     | 01 00000003 17 "s390-storage_attributes" 00000000 00000000 0000000000000001 7e 00000003 03 00000003 0000000000001002 0000000000000003 010203 0000000000000008 0000000000000001 7e 00000003
            skeys        | 04 00000003 0a "s390-skeys" 00000000 00000000 0000000000000002 0000000000000002 7e00 0000000000000001 7e 00000003
            htab         | 01 00000003 0a "spapr/htab" 00000000 00000001 00000012 7e 00000003 03 00000003 00000000 00000001 0001 0002 7e*16 00000000 0000 0000 7e 00000003
            no table     | 01 00000003 0a "spapr/htab" 00000000 00000001 ffffffff 7e 00000003
            unknown      | 01 00000003 06 "future" 00000000 00000001 7e7e7e 7e 00000003
            """)
    void skipsOtherSections(String why, String sections) throws IOException {
        InspectResult result = inspect(HEAD + RAM + sections + EMPTY_END + EOF);
        assertThat(result.fault()).as(why).isEmpty();
        assertThat(items.getLast().details()).containsEntry("text", "no description");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            no names         | 10 00010000 00 01                                          | a bitmap starts before its names were given
            granularity      | 1c 01 "n" 01 "b" 00000003 00 01                            | granularity 3 is no power of two
            twice            | 1c 01 "n" 01 "b" 00010000 00 10 00010000 00 01             | bitmap 'b' starts twice
            BITS before      | 4e 01 "n" 01 "b" 0000000000000000 00000080 01              | bitmap 'b' was never started
            COMPLETE before  | 2c 01 "n" 01 "b" 01                                        | bitmap 'b' was never started
            size too small   | 1c 01 "n" 01 "b" 00000200 00 40 0000000000000000 00001000 0000000000000020 00*32 01 | 32 bytes for a bitmap that needs 512
            size too large   | 1c 01 "n" 01 "b" 00010000 00 40 0000000000000000 00000080 0000000000000040 00*64 01 | 64 bytes for a bitmap that needs 1
            """)
    void notesWhereADestinationGivesBitmapsUp(String why, String chunks, String reason) throws IOException {
        String section = "01 00000003 0c \"dirty-bitmap\" 00000000 00000001 " + chunks + " 7e 00000003 ";
        InspectResult result = inspect(HEAD + RAM + section + EOF);
        assertThat(result.fault()).as(why).isEmpty();
        assertThat(items)
                .anyMatch(item -> ("a destination gives up all bitmaps: " + reason)
                        .equals(item.details().get("text")));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            version        | 00000002                                                      | mapped-ram.version at offset 98: expected 1, got 2
            page size      | 00000001 0000000000002000                                     | mapped-ram.page-size at offset 102: expected 4096, got 8192
            bitmap offset  | 00000001 0000000000001000 000000000000007b                    | mapped-ram.bitmap-offset at offset 110: expected 126, got 123
            pages before   | 00000001 0000000000001000 000000000000007e 0000000000000000 00*20480 | mapped-ram.pages-offset at offset 118: expected a multiple of 4096 from 134 to 12414, got 0
            misaligned     | 00000001 0000000000001000 000000000000007e 0000000000001001 00*20480 | mapped-ram.pages-offset at offset 118: expected a multiple of 4096 from 134 to 12414, got 4097
            outside        | 00000001 0000000000001000 000000000000007e 0000000000004000 00*20480 | mapped-ram.pages-offset at offset 118: expected a multiple of 4096 from 134 to 12414, got 16384
            """)
    void findsTheFaultInAMappedRamFile(String why, String header, String message) throws IOException {
        InspectResult result = inspect("\"QEVM\" 00000003 07 00000002 \"pc\""
                + " 05 1a \"configuration/capabilities\" 00000001 00000001 0a \"mapped-ram\""
                + " 01 00000001 03 \"ram\" 00000000 00000004 0000000000002004 02 \"m0\" 0000000000002000"
                + header);
        assertThat(result.fault()).as(why).isPresent();
        assertThat(result.fault().get().message()).startsWith(message + " (in the RAM record");
    }

    @Test
    void refusesPageRecordsInAMappedRamFile() throws IOException {
        InspectResult result = inspect("\"QEVM\" 00000003 07 00000002 \"pc\""
                + " 05 1a \"configuration/capabilities\" 00000001 00000001 0a \"mapped-ram\""
                + " 01 00000001 03 \"ram\" 00000000 00000004 0000000000000002 02 \"m0\" 00");
        assertThat(result.fault().orElseThrow().message())
                .startsWith("ram.flags at offset 79: expected MEM_SIZE or EOS with mapped-ram, got 0x2");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            number above the last | 00000007                   | colo.message at offset 70: expected 1 (request), got 7 (in the checkpoint at offset 70)
            another message       | 00000001 00000004          | colo.message at offset 74: expected 3 (send), got 4 (in the checkpoint at offset 70)
            no size               | 00000001 00000003 00 00000005 | colo.message at offset 79: expected 4 (size), got 5 (in the checkpoint at offset 70)
            size above the limit  | 00000001 00000003 00 00000004 0000000008000001 | colo.state.size at offset 83: expected 1 to 134217728 bytes, got 134217729 (in the checkpoint at offset 70)
            bytes after EOF       | 00000001 00000003 00 00000004 0000000000000002 0000 | colo.state at offset 92: expected the end of the device state, got 1 bytes left (in the checkpoint at offset 70)
            short state           | 00000001 00000003 00 00000004 0000000000000002 08 | ends inside the section loop in the checkpoint at offset 70: command.number at offset 92: expected 2 bytes, got end of input after 0 bytes
            """)
    void findsTheFaultInACheckpoint(String why, String text, String message) throws IOException {
        InspectResult result = inspect(HEAD + "08 0008 0000 " + RAM + EOF + text);
        assertThat(result.fault()).as(why).isPresent();
        assertThat(result.fault().get().message()).isEqualTo(message);
    }

    @Test
    void walksCheckpoints() throws IOException {
        String checkpoint = "00000001 00000003 " + EMPTY_END + EOF + "00000004 000000000000001d " + DEVICE + EOF;
        InspectResult result = inspect(HEAD + RAM + EMPTY_END + EOF + "06 00000002 \"{}\"" + checkpoint + checkpoint);
        assertThat(result.fault()).isEmpty();
        assertThat(result.totals()).containsEntry("checkpoints", 2L).containsEntry("section FULL", 2L);
    }

    @ParameterizedTest(name = "cut to {0}")
    @ValueSource(ints = {1, 7, 8, 20, 70})
    void saysWhereAStreamIsCut(int length) throws IOException {
        byte[] cut = Arrays.copyOf(bytes(HEAD + RAM + EMPTY_END), length);
        InspectResult result = StreamInspector.inspect(InspectInput.of(cut), InspectOptions.DEFAULT, items::add);
        assertThat(result.fault().orElseThrow().truncated()).isTrue();
        assertThat(result.fault().get().message()).startsWith("ends inside ");
    }

    @Test
    void findsEveryCutOfASmallStream() throws IOException {
        byte[] all = bytes(HEAD + POSTCOPY + RAM + "08 0007 0004 00000026 08 0004 0000 " + DEVICE + "08 0005 0000 "
                + "02 00000001 0000000000000002 02 \"m0\" 00 0000000000000010 7e 00000001 " + EMPTY_END + EOF);
        assertThat(StreamInspector.inspect(InspectInput.of(all), InspectOptions.DEFAULT, items::add)
                        .fault())
                .isEmpty();
        for (int length = 1; length < all.length; length++) {
            InspectResult result = StreamInspector.inspect(
                    InspectInput.of(Arrays.copyOf(all, length)), InspectOptions.DEFAULT, items::add);
            assertThat(result.fault()).as("cut to %d bytes", length).isPresent();
            assertThat(result.fault().get().truncated())
                    .as("cut to %d bytes", length)
                    .isTrue();
            assertThat(result.fault().get().offset())
                    .as("cut to %d bytes", length)
                    .isLessThanOrEqualTo(length);
        }
    }

    @Test
    void survivesEveryFlippedBitOfASmallStream() throws IOException {
        byte[] all = bytes(HEAD + POSTCOPY + RAM + "08 0006 0015 00 02 \"m0\" 00 0000000000000000 0000000000001000 "
                + "08 0007 0004 00000026 08 0004 0000 " + DEVICE + "08 0005 0000 "
                + "02 00000001 0000000000000002 02 \"m0\" 00 0000000000000010 7e 00000001 " + EMPTY_END + EOF);
        int noticed = 0;
        for (int bit = 0; bit < 8 * all.length; bit++) {
            byte[] flipped = all.clone();
            flipped[bit / 8] ^= (byte) (1 << bit % 8);
            InspectResult result =
                    StreamInspector.inspect(InspectInput.of(flipped), InspectOptions.DEFAULT, items::add);
            noticed += result.fault().isPresent() ? 1 : 0;
        }
        // What is left is free: names, versions and contents of the device, the value of a page's address.
        assertThat(noticed).isGreaterThan(8 * all.length * 2 / 3);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            empty                   | ``                                            | empty capture
            a stream                | 5145564d 00000003 00                          | migration stream
            a multifd channel       | 11223344 00000001 00*56                       | multifd channel
            a CPR state channel     | 51435052 00000001                             | CPR state channel
            a resumed connection    | 08 000a 0003 02 "m0" 00                       | resumed postcopy connection
            a preempt channel       | 0000000000001002 02 "m0" 00 0000000000000010  | postcopy preempt channel
            a stream within a file  | 00*100 5145564d 00000003 00                   | migration stream
            """)
    void tellsWhatACaptureIs(String why, String text, String kind) throws IOException {
        InspectResult result = inspect(text);
        assertThat(result.kind()).as(why).isEqualTo(kind);
        assertThat(result.fault()).isEmpty();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            no stream              | 7f454c46 02010100                   | header.magic at offset 0: expected 0x5145564d ("QEVM", a migration stream), got 0x7f454c46 (in the header)
            obsolete               | 5145564d 00000002                   | header.version at offset 4: expected version 3, got version 2, a format that is obsolete and not read any more (in the header)
            unknown subsection     | 5145564d 00000003 07 00000002 "pc" 05 0f "configuration/x" 00000001 | configuration.subsection at offset 15: expected target-page-bits, capabilities or uuid, got unknown subsection 'configuration/x' (in the configuration section)
            CPR version            | 51435052 00000002                   | cpr.version at offset 4: expected 1, got 2 (in the header of the CPR state)
            multifd version        | 11223344 00000002                   | multifd.hello.version at offset 4: expected 1, got 2 (in the hello of the multifd channel)
            multifd packet         | 11223344 00000001 00*56 11223344 00000001 00000080 | multifd.packet.flags at offset 72: expected flags within 0x7f, got 0x80 (in the packet at offset 64)
            multifd packet cut     | 11223344 00000001 00*56 11223344 00000001 00000000 00*100 | ends inside the packet at offset 64: multifd.packet.header at offset 76: expected 1332 bytes, got end of input after 100 bytes
            preempt XBZRLE         | 0000000000001002 02 "m0" 00 0000000000000060 | ram.flags at offset 12: expected ZERO, PAGE, COMPRESS_PAGE or EOS after POSTCOPY_LISTEN, got 0x60 (in the RAM record at offset 12 (page 0x0 of block 'm0'))
            """)
    void findsTheFaultOutsideOfALoop(String why, String text, String message) throws IOException {
        InspectResult result = inspect(text);
        assertThat(result.fault()).as(why).isPresent();
        assertThat(result.fault().get().message()).isEqualTo(message);
    }

    @Test
    void takesWhatTheCaptureDoesNotSayFromItsOptions() throws IOException {
        byte[] file = bytes("\"QEVM\" ffffffff" + HEAD + EOF);
        InspectOptions at8 = new InspectOptions(OptionalLong.of(8), OptionalInt.empty());
        assertThat(StreamInspector.inspect(InspectInput.of(file), at8, items::add)
                        .fault())
                .isEmpty();
        assertThat(items.getFirst().offset()).isEqualTo(8);

        byte[] preempt = bytes("0000000000010002 02 \"m0\" 00 0000000000004022 00");
        InspectOptions big = new InspectOptions(OptionalLong.empty(), OptionalInt.of(65536));
        assertThat(StreamInspector.inspect(InspectInput.of(preempt), big, items::add)
                        .fault()
                        .orElseThrow()
                        .message())
                .startsWith("ram.flags at offset 12: expected exactly one record flag of 0x3de, got 0x4022");
    }

    @Test
    void notesWhatADestinationIgnores() throws IOException {
        InspectResult result =
                inspect(HEAD + "08 0001 0000 08 0001 0000 " + RAM + "08 0009 0000 08 000a 0003 02 \"m0\"" + EOF + "aa");
        assertThat(result.fault()).isEmpty();
        assertThat(items.stream()
                        .filter(item -> item.what().equals("note"))
                        .map(item -> item.details().get("text")))
                .containsExactly(
                        "the return path is open already",
                        "POSTCOPY_RESUME outside of a recovery is ignored",
                        "RECV_BITMAP outside of a recovery is ignored",
                        "no description",
                        "1 bytes follow the end of the stream");
    }

    @Test
    void printsNothingThatTheTerminalWouldObey() throws IOException {
        inspect("\"QEVM\" 00000003 07 00000005 1b5b33316d 00");
        assertThat(ItemText.line(items.get(1))).endsWith("machine='\\x1b[31m'");
    }

    @Test
    void writesJson() throws IOException {
        InspectResult result = inspect(HEAD + RAM + "02 00000007");
        assertThat(ItemJson.line(items.get(1)))
                .isEqualTo("{\"offset\":8,\"depth\":0,\"what\":\"configuration\",\"machine\":\"pc\"}");
        assertThat(ItemJson.line(result))
                .isEqualTo("{\"what\":\"result\",\"kind\":\"migration stream\","
                        + "\"totals\":{\"section START\":1,\"mem_size\":1,\"eos\":1},"
                        + "\"fault\":{\"offset\":65,\"truncated\":false,\"message\":\"section.id at offset 65:"
                        + " expected the id of a section that has started, got 7 in a PART (in the stream)\"}}");
    }

    private InspectResult inspect(String text) throws IOException {
        return StreamInspector.inspect(InspectInput.of(bytes(text)), InspectOptions.DEFAULT, items::add);
    }
}
