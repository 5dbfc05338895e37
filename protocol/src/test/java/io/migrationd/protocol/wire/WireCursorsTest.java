package io.migrationd.protocol.wire;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Wire reader and writer")
class WireCursorsTest {
    @Test
    void readWhatTheOtherWrites() throws ProtocolException {
        byte[] written = new WireWriter()
                .writeU8(0x1ff)
                .writeU16(0x1fffe)
                .writeInt(0x80000001)
                .writeLong(0x8000000000000002L)
                .writeName("\u00ff0")
                .writeBytes(bytes("aabb"))
                .toByteArray();
        assertThat(written).isEqualTo(bytes("ff fffe 80000001 8000000000000002 02 ff \"0\" aabb"));
        WireReader in = new WireReader(ByteBuffer.wrap(written).order(ByteOrder.LITTLE_ENDIAN), 100);
        assertThat(in.readU8("a")).isEqualTo(0xff);
        assertThat(in.readU16("b")).isEqualTo(0xfffe);
        assertThat(in.readU32("c")).isEqualTo(0x80000001L);
        assertThat(in.readLong("d")).isEqualTo(0x8000000000000002L);
        assertThat(in.offset()).isEqualTo(115);
        assertThat(in.readName("e")).isEqualTo("\u00ff0");
        assertThat(in.readBytes("f", 2)).isEqualTo(bytes("aabb"));
        assertThat(in.remaining()).isZero();
    }

    @Test
    void saysWhatIsMissing() {
        WireReader in = new WireReader(ByteBuffer.wrap(bytes("05 \"ab\"")), 100);
        assertThatThrownBy(() -> in.readName("name"))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("name at offset 101: expected 5 bytes, got 2 bytes");
        assertThatThrownBy(() -> in.readInt("number"))
                .hasMessage("number at offset 101: expected 4 bytes, got 2 bytes");
        assertThatThrownBy(() -> new WireReader(ByteBuffer.wrap(bytes("00")), 7).readName("name"))
                .hasMessage("name at offset 7: expected a name of 1 to 255 bytes, got an empty one");
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\u0100"})
    void refusesWhatIsNoName(String name) {
        assertThatThrownBy(() -> Names.toWire(name)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void takesNamesOfUpTo255Bytes() {
        assertThat(Names.toWire("x".repeat(255))).hasSize(255);
        assertThatThrownBy(() -> Names.toWire("x".repeat(256))).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void keepsFieldAndOffsetOfAFault() {
        ProtocolException fault =
                new ProtocolException("ram.page", 5, "a page", "nothing", new IllegalStateException());
        assertThat(fault.field()).isEqualTo("ram.page");
        assertThat(fault.offset()).isEqualTo(5);
        assertThat(fault).hasMessage("ram.page at offset 5: expected a page, got nothing");
        assertThat(fault).hasCauseInstanceOf(IllegalStateException.class);
    }
}
