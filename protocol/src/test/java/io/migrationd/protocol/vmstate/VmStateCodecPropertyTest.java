package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.vmstate.VmDescription.Device;
import io.migrationd.protocol.vmstate.VmDescriptionWriter.Saved;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("VMState codec, random descriptions")
class VmStateCodecPropertyTest {
    static LongStream seeds() {
        return LongStream.range(0, 150);
    }

    /** A description, a state saved with it, and what the destination knows before it loads. */
    private record Case(VmStateDescription<DynamicState> description, Saved saved, DynamicState destination) {
        static Case of(long seed) throws VmStateException {
            SplittableRandom random = new SplittableRandom(seed);
            RandomDescription made = RandomDescription.make(random);
            DynamicState source = new DynamicState();
            DynamicState destination = new DynamicState();
            made.fill().fill(random, source, destination);
            return new Case(
                    made.description(), VmDescriptionWriter.save("r", 0, made.description(), source), destination);
        }

        void load(byte[] body) throws IOException {
            StreamReader in = StreamReader.of(body);
            VmStateCodec.load(description, destination, in, description.version(), new VmStateLimits(1 << 20, 1000));
            assertThat(in.offset()).isLessThanOrEqualTo(body.length);
        }
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void whatIsLoadedIsSavedAgainAsItWas(long seed) throws Exception {
        Case c = Case.of(seed);

        c.load(c.saved().body());
        Saved again = VmDescriptionWriter.save("r", 0, c.description(), c.destination());

        assertThat(again.body()).isEqualTo(c.saved().body());
        assertThat(again.json()).isEqualTo(c.saved().json());
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void theDescriptionMeasuresTheBody(long seed) throws Exception {
        Saved saved = Case.of(seed).saved();
        Device device = VmDescription.parse(VmDescriptionWriter.document(Optional.empty(), 4096, List.of(saved.json())))
                .devices()
                .getFirst();
        byte[] withMore = Arrays.copyOf(saved.body(), saved.body().length + 20);

        assertThat(VmDescription.bodyLength(device, withMore, 0)).isEqualTo(saved.body().length);
        assertThat(device.json()).isEqualTo(saved.json());
    }

    @ParameterizedTest(name = "seed {0}")
    @MethodSource("seeds")
    void damagedBodiesAreLoadedOrRefusedAndNothingElse(long seed) throws Exception {
        byte[] body = Case.of(seed).saved().body();
        SplittableRandom random = new SplittableRandom(seed);
        for (int i = 0; i < 10 && body.length > 0; i++) {
            byte[] damaged = Arrays.copyOf(body, random.nextInt(body.length) + 1);
            damaged[random.nextInt(damaged.length)] ^= (byte) (1 << random.nextInt(8));
            try {
                Case.of(seed).load(damaged);
            } catch (ProtocolException e) {
                assertThat(e.offset()).isBetween(0L, (long) damaged.length);
            }
        }
    }
}
