package io.migrationd.protocol.ram;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.migrationd.protocol.ram.RamRecordWriter.BlockName;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("RAM record writer")
class RamRecordWriterTest {
    private final byte[] out = new byte[8192];
    private final MemorySegment segment = MemorySegment.ofArray(out);
    private final RamRecordWriter writer = new RamRecordWriter();
    private final BlockName m0 = new BlockName("m0");
    private final BlockName m1 = new BlockName("m1");

    private byte[] written(long end) {
        return Arrays.copyOf(out, (int) end);
    }

    @Test
    void namesABlockOnceAndContinues() {
        long at = writer.zeroPage(segment, 0, m0, 0x400);
        at = writer.zeroPage(segment, at, m0, 0x800);
        at = writer.zeroPage(segment, at, m1, 0);
        at = writer.zeroPage(segment, at, m0, 0xc00);
        at = RamRecordWriter.endOfSection(segment, at);
        at = writer.zeroPage(segment, at, m0, 0);

        assertThat(written(at)).isEqualTo(bytes("""
            0000000000000402 02 "m0" 00
            0000000000000822 00
            0000000000000002 02 "m1" 00
            0000000000000c02 02 "m0" 00
            0000000000000010
            0000000000000022 00"""));
    }

    @Test
    void knowsTheLengthOfAHeaderBeforeItIsWritten() {
        assertThat(writer.headerBytes(m0)).isEqualTo(11);
        assertThat(writer.header(segment, 0, m0, 0, RamFlags.PAGE)).isEqualTo(11);
        assertThat(writer.headerBytes(m0)).isEqualTo(8);
        assertThat(writer.header(segment, 0, m0, 0, RamFlags.PAGE)).isEqualTo(8);
        assertThat(writer.headerBytes(m1)).isEqualTo(11);
    }

    @Test
    void aLongNameFitsTheLongestHeader() {
        BlockName longest = new BlockName("n".repeat(255));

        assertThat(writer.headerBytes(longest)).isEqualTo(RamRecordWriter.MAX_HEADER_BYTES);
        assertThat(writer.header(segment, 0, longest, 0, RamFlags.PAGE)).isEqualTo(264);
        assertThat(written(264)).isEqualTo(bytes("0000000000000008 ff 6e*255"));
    }

    @Test
    void refusesNamesThatTheWireCannotCarry() {
        assertThatIllegalArgumentException().isThrownBy(() -> new BlockName(""));
        assertThatIllegalArgumentException().isThrownBy(() -> new BlockName("n".repeat(256)));
        assertThatIllegalArgumentException().isThrownBy(() -> new BlockName("\u20ac"));
    }

    @Test
    void writesWhatStandsBeforeADelta() {
        long at = writer.deltaPrefix(segment, 0, m0, 0x400, 0x1ff);
        at = writer.deltaPrefix(segment, at, m0, 0x800, 3);

        assertThat(written(at)).isEqualTo(bytes("0000000000000440 02 \"m0\" 01 01ff 0000000000000860 01 0003"));
    }

    @Test
    void writesTheBlockListOfACapture() {
        WireWriter list = new WireWriter();

        RamRecordWriter.blockList(
                List.of(
                        new BlockListEntry(0, "pc.ram", 0x1000000, 0),
                        new BlockListEntry(0, "/rom@etc/acpi/tables", 0x20000, 0),
                        new BlockListEntry(0, "m0", 0x800000, 0x200000)),
                list);

        assertThat(list.toByteArray()).isEqualTo(bytes("""
            0000000001820004
            06 "pc.ram" 0000000001000000
            14 "/rom@etc/acpi/tables" 0000000000020000
            02 "m0" 0000000000800000 0000000000200000
            0000000000000010"""));
    }

    @Test
    void theDecoderReadsWhatWasWritten() throws IOException {
        long at = writer.header(segment, 0, m0, 0x400, RamFlags.PAGE);
        segment.asSlice(at, RecordedRam.PAGE).fill((byte) 0x77);
        at = writer.header(segment, at + RecordedRam.PAGE, m0, 0x800, RamFlags.PAGE);
        segment.asSlice(at, RecordedRam.PAGE).fill((byte) 0x78);
        at = writer.deltaPrefix(segment, at + RecordedRam.PAGE, m0, 0x400, 3);
        MemorySegment.copy(MemorySegment.ofArray(bytes("0001ff")), 0, segment, at, 3);
        at = writer.zeroPage(segment, at + 3, m1, 0);
        at = RamRecordWriter.endOfSection(segment, at);
        RecordedRam ram = new RecordedRam().with("m0", 4).with("m1", 2);

        assertThat(ram.decode(StreamReader.of(written(at))))
                .containsExactly("page m0 0x400 77", "page m0 0x800 78", "delta m0 0x400 3 at 2078", "zero m1 0x0");
        assertThat(ram.contents("m0")).isEqualTo(bytes("00*1024 ff 77*1023 78*1024 00*1024"));
    }
}
