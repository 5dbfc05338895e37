package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Preempt style")
class PreemptStyleTest {
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        pc-i440fx-7.2       | FROM_THE_START
        pc-q35-6.0          | FROM_THE_START
        pc-i440fx-2.12      | FROM_THE_START
        pc-i440fx-8.0       | AT_THE_SWITCH
        pc-q35-10.0         | AT_THE_SWITCH
        virt-7.10           | AT_THE_SWITCH
        test-1.0            | AT_THE_SWITCH
        microvm             | AT_THE_SWITCH
        migrationd-sample-1 | AT_THE_SWITCH
        """)
    void followsTheMachineType(String machineType, PreemptStyle style) {
        assertThat(PreemptStyle.of(machineType)).isEqualTo(style);
    }
}
