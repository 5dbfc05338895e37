package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ProtocolException;
import org.junit.jupiter.api.Test;

class WorkerStateTest {
    @Test
    void decodesWhatItEncodes() throws Exception {
        WorkerState state = new WorkerState(512, 1024, 42);
        state.sequence = 9;
        state.written(700, 3);

        WorkerState decoded = new WorkerState(512, 1024, 1).decode(state.encode());

        assertThat(decoded.encode()).isEqualTo(state.encode());
        assertThat(decoded.operations).isEqualTo(1);
    }

    @Test
    void digestsForgetThePreviousWrite() {
        WorkerState twice = new WorkerState(0, 512, 1);
        twice.sequence = 1;
        twice.written(5, 0);
        twice.sequence = 2;
        twice.written(5, 1);

        assertThat(twice.chunkDigests[0]).isEqualTo(PageImage.mix(5, 2));
    }

    @Test
    void refusesTheStateOfOtherPages() {
        byte[] other = new WorkerState(512, 1024, 1).encode();

        assertThatThrownBy(() -> new WorkerState(0, 1024, 1).decode(other))
                .isInstanceOf(ProtocolException.class)
                .hasMessageContaining("worker.first-page");
        assertThatThrownBy(() -> new WorkerState(512, 512, 1).decode(other)).isInstanceOf(ProtocolException.class);
    }
}
