package io.migrationd.it.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("/proc")
class ProcFilesTest {
    @Test
    void addsUserAndSystemTimeWhateverTheProcessIsCalled() {
        String stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1000 0 5 0 150 25 7 9 20 0 30 0 12345";

        assertThat(ProcFiles.cpuSecondsOf(stat)).isEqualTo(1.75);
    }

    @Test
    void knowsThisProcess() throws IOException {
        assertThat(ProcFiles.cpuSeconds("self")).isPositive();
        assertThat(ProcFiles.peakResidentKib("self")).isPositive();
    }
}
