package io.migrationd.protocol.fuzz;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.multifd.MultifdHelloCodec;
import io.migrationd.protocol.multifd.MultifdPacketCodec;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Codecs, given damaged bytes,")
class CodecFuzzTest {
    private static final int ROUNDS = 4000;

    private interface Decoder {
        void read(StreamReader in) throws IOException;
    }

    private record Target(String name, byte[] bytes, Decoder decoder) {}

    private static final List<Target> TARGETS = List.of(
            new Target("header", bytes("\"QEVM\" 00000003"), StreamHeader::read),
            new Target(
                    "configuration",
                    bytes("07 00000002 \"pc\" 05 1e \"configuration/target-page-bits\" 00000001 0000000c"
                            + " 05 1a \"configuration/capabilities\" 00000001 00000002 0f \"x-ignore-shared\""
                            + " 0a \"mapped-ram\" 05 12 \"configuration/uuid\" 00000001 00*16 01"),
                    ConfigurationCodec::read),
            new Target("start", bytes("01 00000002 03 \"ram\" 00000000 00000004"), StreamElementCodec::read),
            new Target(
                    "discard",
                    bytes("08 0006 0025 00 02 \"m0\" 00 0000000000001000 0000000000002000"
                            + " 0000000000010000 0000000000001000"),
                    StreamElementCodec::read),
            new Target("bitmap", bytes("08 000a 0007 06 \"pc.ram\""), StreamElementCodec::read),
            new Target("description", bytes("06 00000002 \"{}\""), in -> DescriptionElement.read(in, 1 << 20)),
            new Target("hello", bytes("11223344 00000001 00*16 01 00*39"), MultifdHelloCodec::read),
            new Target(
                    "packet",
                    bytes("11223344 00000001 00000000 00000008 00000002 00020000 0000000000000007 00000001 00*28"
                            + " \"m0\" 00*254 0000000000010000 0000000000030000 0000000000020000 00*40"),
                    in -> new MultifdPacketCodec(65536).read(in)),
            new Target(
                    "device state",
                    bytes("11223344 00000001 00000040 \"vfio\" 00*252 00000001 00000002 aabb"),
                    in -> new MultifdPacketCodec(4096).read(in)));

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {1, 2, 3})
    void readThemOrSayWhereTheyAreWrong(long seed) {
        StreamMutator mutator = new StreamMutator(seed);
        int refused = 0;
        for (int round = 0; round < ROUNDS; round++) {
            Target target = TARGETS.get(round % TARGETS.size());
            Target donor = TARGETS.get(round / 7 % TARGETS.size());
            byte[] damaged = mutator.mutate(target.bytes(), new long[0], donor.bytes());
            try {
                target.decoder().read(StreamReader.of(damaged));
            } catch (ProtocolException e) {
                refused++;
                assertThat(e.offset()).isBetween(0L, (long) damaged.length);
            } catch (IOException | RuntimeException | Error e) {
                throw new AssertionError(
                        "seed %d, round %d, %s: %s".formatted(seed, round, target.name(), mutator.changes()), e);
            }
        }
        assertThat(refused).isGreaterThan(ROUNDS / 3);
    }
}
