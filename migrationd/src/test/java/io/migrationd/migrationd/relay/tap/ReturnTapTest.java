package io.migrationd.migrationd.relay.tap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReturnPathCodec;
import io.migrationd.returnpath.ReturnPathMessage;
import io.migrationd.returnpath.ReturnPathMessage.Pong;
import io.migrationd.returnpath.ReturnPathMessage.ReceivedBitmap;
import io.migrationd.returnpath.ReturnPathMessage.RequestPages;
import io.migrationd.returnpath.ReturnPathMessage.RequestPagesOf;
import io.migrationd.returnpath.ReturnPathMessage.ResumeAck;
import io.migrationd.returnpath.ReturnPathMessage.Shut;
import io.migrationd.returnpath.ReturnPathMessage.SwitchoverAck;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Tap of the return path")
class ReturnTapTest {
    static List<String> reverseDirections() {
        return Captures.names(name -> name.endsWith(".rev.gz") && !name.startsWith("colo"));
    }

    /** What the codec reads from the same bytes. The sizes of bitmaps are what they claim. */
    private static List<ReturnPathMessage> decode(byte[] bytes) throws IOException {
        StreamReader in = StreamReader.of(bytes);
        List<ReturnPathMessage> messages = new ArrayList<>();
        while (!in.atEnd()) {
            int at = (int) in.offset();
            long size = ByteBuffer.wrap(bytes).getShort(at) != ReturnPathCodec.RECV_BITMAP
                    ? 0
                    : ByteBuffer.wrap(bytes)
                            .getLong(at + 4 + ByteBuffer.wrap(bytes).getShort(at + 2));
            messages.add(ReturnPathCodec.decode(in, block -> OptionalLong.of(size)));
        }
        return messages;
    }

    @ParameterizedTest
    @MethodSource("reverseDirections")
    void findsWhatTheCodecReads(String name) throws IOException {
        byte[] bytes = Captures.read(name);
        List<ReturnPathMessage> messages = decode(bytes);
        assertFalse(messages.isEmpty());
        for (int most : new int[] {bytes.length, 1, 13, 200}) {
            ReturnTap tap = Captures.feed(new ReturnTap(), bytes, new Random(most), most);
            assertEquals(
                    messages.stream()
                            .filter(Pong.class::isInstance)
                            .map(m -> ((Pong) m).value())
                            .toList(),
                    tap.pongs().stream().map(ReturnTap.PongSeen::value).toList());
            assertEquals(
                    messages.stream()
                            .filter(m -> m instanceof RequestPages || m instanceof RequestPagesOf)
                            .count(),
                    tap.requests());
            assertEquals(
                    messages.stream().filter(ReceivedBitmap.class::isInstance).count(), tap.bitmaps());
            assertEquals(messages.stream().filter(ResumeAck.class::isInstance).count(), tap.resumeAcks());
            assertEquals(
                    messages.stream().anyMatch(SwitchoverAck.class::isInstance),
                    tap.switchoverAck().isPresent());
            boolean shut = messages.getLast() instanceof Shut;
            assertEquals(
                    shut ? TapState.ENDED : TapState.PARSING,
                    tap.status().state(),
                    tap.status().toString());
            assertEquals(shut ? OptionalLong.of(bytes.length) : OptionalLong.empty(), tap.shutEnd());
            assertEquals(0, tap.status().unparsedBytes());
        }
    }

    @Test
    void saysWhereShutEnds() {
        byte[] bytes = HexFormat.of().parseHex("00020004000000030001000400000001");
        List<String> heard = new ArrayList<>();
        ReturnTap tap = new ReturnTap((type, value, end) -> heard.add(type + ":" + value + "@" + end));
        tap.accept(ByteBuffer.wrap(bytes));
        assertEquals(OptionalInt.of(1), tap.shut());
        assertEquals(OptionalLong.of(16), tap.shutEnd());
        assertTrue(tap.hasPong(3));
        assertEquals(List.of("2:3@8", "1:1@16"), heard);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        type 0             | 00000000                     | rp.type at offset 0
        type 8             | 00080000                     | rp.type at offset 0
        too long           | 0002020100000000             | rp.length at offset 2
        short PONG         | 000200020000                 | rp.length at offset 2
        name does not fit  | 000500020541                 | rp.length at offset 2
        odd bitmap         | 0005000201410000000000000007 | rp.bitmap.size at offset 6
        behind SHUT        | 000100040000000000           | rp.type at offset 8
        """)
    void isLostAtWhatItDoesNotKnow(String why, String hex, String reason) {
        byte[] bytes = HexFormat.of().parseHex(hex);
        ReturnTap tap = new ReturnTap();
        tap.accept(ByteBuffer.wrap(bytes));
        assertEquals(TapState.LOST, tap.status().state(), why);
        assertTrue(
                tap.status().reason().orElseThrow().startsWith(reason),
                tap.status().toString());
        tap.accept(ByteBuffer.wrap(bytes));
        assertEquals(2L * bytes.length, tap.bytes());
        assertEquals(2L * bytes.length - tap.status().offset(), tap.status().unparsedBytes());
    }
}
