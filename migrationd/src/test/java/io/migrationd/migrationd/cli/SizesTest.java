package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Sizes")
class SizesTest {
    @ParameterizedTest
    @CsvSource({
        "0,0",
        "512,512",
        "512B,512",
        "64K,65536",
        "64k,65536",
        "100M,104857600",
        "1GiB,1073741824",
        "8388607T,9223370937343148032"
    })
    void parses(String text, long bytes) {
        assertThat(Sizes.parse(text)).isEqualTo(bytes);
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "-1", "1.5G", "1P", "G", "1 G", "0x10", "1iB"})
    void refusesWhatIsNoSize(String text) {
        assertThatThrownBy(() -> Sizes.parse(text))
                .hasMessage("expected a number of bytes such as 0, 64K, 100M or 1G, not '%s'", text);
    }

    @ParameterizedTest
    @ValueSource(strings = {"9223372036854775808", "8388608T"})
    void refusesWhatDoesNotFit(String text) {
        assertThatThrownBy(() -> Sizes.parse(text)).hasMessage("'%s' is more than 2^63 - 1 bytes", text);
    }

    @ParameterizedTest
    @CsvSource({"0,0 B", "1023,1023 B", "1024,1.0 KiB", "327680000,312.5 MiB", "1099511627776000,1000.0 TiB"})
    void formats(long bytes, String text) {
        assertThat(Sizes.format(bytes)).isEqualTo(text);
    }
}
