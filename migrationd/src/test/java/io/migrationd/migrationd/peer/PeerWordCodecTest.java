package io.migrationd.migrationd.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.migrationd.migrationd.move.MovePlan;
import io.migrationd.migrationd.move.PeerMessage;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.TargetPhase;
import io.migrationd.migrationd.move.Vcpus;
import io.migrationd.protocol.wire.ProtocolException;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Peer words")
class PeerWordCodecTest {
    private static final UUID ID = UUID.fromString("6f1c8a8e-35d2-4c6f-9a52-2f3f9f4d8a11");
    private static final MoveOrder ORDER = new MoveOrder(
            "web01",
            ID,
            "hostA",
            true,
            true,
            2,
            new TreeMap<>(Map.of("postcopy-ram", true, "xbzrle", false)),
            new TreeMap<>(Map.of("downtime-limit", 300L)));

    private static Stream<PeerWord> words() {
        return Stream.concat(
                Stream.of(
                                new PeerMessage.Ready(),
                                new PeerMessage.Refused("no room"),
                                new PeerMessage.Abort("cancelled"),
                                new PeerMessage.Aborted(),
                                new PeerMessage.Declined("QEMU died"),
                                new PeerMessage.Loaded(QemuStatus.POSTCOPY_ACTIVE),
                                new PeerMessage.Grant(8),
                                new PeerMessage.Started(),
                                new PeerMessage.Paused(),
                                new PeerMessage.Recover(),
                                new PeerMessage.RecoverReady(),
                                new PeerMessage.RecoverFailed("busy"),
                                new PeerMessage.TargetLost(),
                                new PeerMessage.SourceLost(),
                                new PeerMessage.Finish(),
                                new PeerMessage.Finished(),
                                new PeerMessage.Sync(SourcePhase.PAGING),
                                new PeerMessage.State(
                                        TargetPhase.STANDBY, new QemuFact(QemuStatus.ACTIVE, Vcpus.INCOMING)),
                                new PeerMessage.Unknown())
                        .map(message -> PeerWord.OfMove.plain(ID, message)),
                Stream.of(
                        new PeerWord.OfMove(
                                ID,
                                new PeerMessage.Prepare(new MovePlan(MovePlan.Mode.POSTCOPY, true, 7)),
                                3,
                                Optional.of(ORDER),
                                Optional.empty()),
                        new PeerWord.OfMove(
                                ID,
                                new PeerMessage.Finished(),
                                0,
                                Optional.empty(),
                                Optional.of(JsonNodeFactory.instance.arrayNode().add(1))),
                        new PeerWord.Check(ID, ORDER),
                        new PeerWord.Facts(
                                ID, JsonNodeFactory.instance.objectNode().put("a", 1)),
                        new PeerWord.CheckFailed(ID, "no definition"),
                        new PeerWord.Clock(true, 5, 6)));
    }

    @ParameterizedTest
    @MethodSource("words")
    void everyWordComesBack(PeerWord word) throws Exception {
        assertThat(PeerWordCodec.decode(PeerWordCodec.encode(word))).isEqualTo(word);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            not JSON          | {                                               | peer.message at offset 0: expected JSON, got JsonEOFException
            no object         | []                                              | peer.message at offset 0: expected an object, got ARRAY
            no version        | {'type':'READY'}                                | peer.version at offset 0: expected a value, got nothing
            other version     | {'version':2,'type':'READY'}                    | peer.version at offset 0: expected 1, got 2
            unknown type      | {'version':1,'type':'RUN','move':'ID'}          | peer.type at offset 0: expected a type of docs/moves.md, got RUN
            no move           | {'version':1,'type':'READY'}                    | peer.move at offset 0: expected a value, got nothing
            bad uuid          | {'version':1,'type':'READY','move':'1-1-1-1-1'} | peer.move at offset 0: expected a uuid, got 1-1-1-1-1
            something more    | {'version':1,'type':'READY','move':'ID','attempt':0,'x':1}  | peer.x at offset 0: expected no such member, got one
            grant of epoch 0  | {'version':1,'type':'GRANT','move':'ID','epoch':0} | peer.epoch at offset 0: expected a number from 1 to 9223372036854775806, got 0
            epoch as text     | {'version':1,'type':'GRANT','move':'ID','epoch':'8'} | peer.epoch at offset 0: expected a number from 1 to 9223372036854775806, got "8"
            unknown phase     | {'version':1,'type':'SYNC','move':'ID','phase':'flying'} | peer.phase at offset 0: expected a word of docs/moves.md, got flying
            prepare alone     | {'version':1,'type':'PREPARE','move':'ID','mode':'precopy','guest-runs':true,'epoch':1} | peer.order at offset 0: expected a value, got nothing
            """)
    void whatIsNotAWordIsRefused(String why, String text, String message) {
        byte[] bytes =
                text.replace('\'', '"').replace("\"ID\"", "\"" + ID + "\"").getBytes(StandardCharsets.UTF_8);
        assertThatThrownBy(() -> PeerWordCodec.decode(bytes), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void aMessageIsBounded() {
        assertThatThrownBy(() -> PeerWordCodec.decode(new byte[PeerWordCodec.MOST_BYTES + 1]))
                .isInstanceOf(ProtocolException.class);
    }

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void brokenBytesAreAWordOrAnError(long seed) {
        Random random = new Random(seed);
        byte[] good = PeerWordCodec.encode(new PeerWord.Check(ID, ORDER));
        int refused = 0;
        for (int round = 0; round < 5_000; round++) {
            byte[] bytes = good.clone();
            for (int change = random.nextInt(4); change >= 0; change--) {
                bytes[random.nextInt(bytes.length)] = (byte) random.nextInt(256);
            }
            try {
                PeerWordCodec.decode(bytes);
            } catch (ProtocolException e) {
                refused++;
            }
        }
        assertThat(refused).isPositive();
    }
}
