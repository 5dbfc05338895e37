package io.migrationd.it.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("TCP frames")
class TcpFramesTest {
    private static final TcpFrames OURS =
            new TcpFrames(0x525400000002L, 0x0A000202, 40007, 0x525400123456L, 0x0A00020F, 7);
    private static final TcpFrames THEIRS =
            new TcpFrames(0x525400123456L, 0x0A00020F, 7, 0x525400000002L, 0x0A000202, 40007);

    @Test
    void segmentIsReadByItsReceiverOnly() {
        ByteBuffer frame = OURS.segment(5, 6, TcpFrames.PSH | TcpFrames.ACK, new byte[] {'a', 'b', 'c'});

        assertThat(OURS.parse(frame)).isEmpty();
        TcpFrames.Segment segment = THEIRS.parse(frame).orElseThrow();
        assertThat(segment.sequence()).isEqualTo(5);
        assertThat(segment.acknowledged()).isEqualTo(6);
        assertThat(segment.has(TcpFrames.ACK) && !segment.has(TcpFrames.SYN)).isTrue();
        assertThat(segment.data()).containsExactly('a', 'b', 'c');
    }

    /** Over a header with its checksum the sum is all ones: RFC 1071. */
    @Test
    void headerSumsUpToAllOnes() {
        ByteBuffer frame = OURS.segment(1, 2, TcpFrames.ACK, new byte[0]);

        int sum = 0;
        for (int offset = 14; offset < 34; offset += 2) {
            sum += Short.toUnsignedInt(frame.getShort(offset));
        }
        assertThat((sum & 0xFFFF) + (sum >>> 16)).isEqualTo(0xFFFF);
    }
}
