package io.migrationd.migrationd.link.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ProtocolException;
import java.nio.ByteBuffer;
import java.util.HexFormat;
import java.util.List;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Frames and records of a session")
class PeerFrameCodecTest {
    private static final UUID SESSION = UUID.fromString("00000000-0000-0001-0000-000000000002");

    static Stream<PeerFrame> frames() {
        return Stream.of(
                new PeerFrame.Hello(
                        SESSION,
                        new PeerIdentity("hostA", SESSION),
                        true,
                        1 << 20,
                        List.of(new PeerFrame.Progress(0, 5, 4), new PeerFrame.Progress(7, 1L << 40, 0))),
                new PeerFrame.Data(3, 1L << 33, 65536),
                new PeerFrame.Ack(3, 1L << 33),
                new PeerFrame.Ping(-1),
                new PeerFrame.Pong(Long.MIN_VALUE),
                new PeerFrame.Goodbye("for a reason"),
                new PeerFrame.Goodbye(""));
    }

    @ParameterizedTest
    @MethodSource("frames")
    void framesComeBack(PeerFrame frame) throws ProtocolException {
        ByteBuffer bytes = PeerFrameCodec.encode(frame);
        int header = bytes.getInt();
        int head = PeerFrameCodec.headLength(header, 0);
        assertThat(bytes.remaining()).isEqualTo(head);
        assertThat(PeerFrameCodec.decode(header, bytes, 0)).isEqualTo(frame);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        no type            | 00000008 0000000000000000         | frame.type at offset 9: expected 1 to 6, got 0
        unknown type       | 07000000                          | frame.type at offset 9: expected 1 to 6, got 7
        data without bytes | 0200000c 000000010000000000000000 | data.length at offset 9: expected 13 to 65548 bytes, got 12
        data too long      | 0201000d                          | data.length at offset 9: expected 13 to 65548 bytes, got 65549
        ack too long       | 0300000d                          | ack.length at offset 9: expected 12 to 12 bytes, got 13
        ping too short     | 04000007                          | ping.length at offset 9: expected 8 to 8 bytes, got 7
        goodbye too long   | 06000401                          | goodbye.length at offset 9: expected 0 to 1024 bytes, got 1025
        hello too short    | 01000036                          | hello.length at offset 9: expected 55 to 20789 bytes, got 54
        negative channel   | 0200000d 800000000000000000000000 | data.channel at offset 9: expected no sign bit, got -2147483648
        negative offset    | 0200000d 00000001ffffffffffffffff | data.offset at offset 9: expected no sign bit, got -1
        """)
    void refuses(String why, String hex, String message) {
        ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex.replace(" ", "")));
        assertThatThrownBy(() -> {
                    int header = bytes.getInt();
                    PeerFrameCodec.headLength(header, 9);
                    PeerFrameCodec.decode(header, bytes, 9);
                })
                .as(why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @ParameterizedTest(name = "byte {0} = {1}")
    @CsvSource({
        "4,0,hello.magic",
        "13,2,hello.version",
        "14,2,hello.flags",
        "47,255,hello.max-buffer",
        "55,0,hello.host",
        "55,200,hello.host",
        "62,9,hello.channels",
        "79,9,hello.delivered"
    })
    void refusesAHelloWithAWrongByte(int index, int value, String field) {
        ByteBuffer bytes = PeerFrameCodec.encode(new PeerFrame.Hello(
                SESSION, new PeerIdentity("hostA", SESSION), false, 1 << 20, List.of(new PeerFrame.Progress(1, 5, 4))));
        bytes.put(index, (byte) value);
        int header = bytes.getInt();
        assertThatThrownBy(() -> PeerFrameCodec.decode(header, bytes, 0))
                .isInstanceOf(ProtocolException.class)
                .hasMessageStartingWith(field + " at");
    }

    static Stream<ControlRecord> records() {
        return Stream.of(
                new ControlRecord.Open(1, new ChannelSpec(ChannelKind.PREEMPT, SESSION, 3, 65535)),
                new ControlRecord.End(2, 1L << 50),
                new ControlRecord.Reset(3, "why"),
                new ControlRecord.Delivered(Integer.MAX_VALUE));
    }

    @ParameterizedTest
    @MethodSource("records")
    void recordsComeBack(ControlRecord record) throws ProtocolException {
        ByteBuffer bytes = ControlRecordCodec.encode(record);
        int header = bytes.getInt();
        assertThat(bytes.remaining()).isEqualTo(ControlRecordCodec.bodyLength(header, 0));
        assertThat(ControlRecordCodec.decode(header, bytes, 0)).isEqualTo(record);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        unknown type     | 06000004 00000001                 | record.type at offset 9: expected 1 to 5, got 6
        message too long | 01040001                          | record.length at offset 9: expected 0 to 262144 bytes, got 262145
        channel 0        | 05000004 00000000                 | record.channel at offset 9: expected 1 to 2^31-1, got 0
        negative length  | 0300000c 00000001ffffffffffffffff | end.length at offset 9: expected no sign bit, got -1
        unknown kind     | 0200001b 00000001040000000000000000000000000000000000000000000000 | open.kind at offset 9: expected 1, 2 or 3, got 4
        """)
    void refusesRecords(String why, String hex, String message) {
        ByteBuffer bytes = ByteBuffer.wrap(HexFormat.of().parseHex(hex.replace(" ", "")));
        assertThatThrownBy(() -> {
                    int header = bytes.getInt();
                    ControlRecordCodec.bodyLength(header, 9);
                    ControlRecordCodec.decode(header, bytes, 9);
                })
                .as(why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }
}
