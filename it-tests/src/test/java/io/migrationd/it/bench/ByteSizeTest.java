package io.migrationd.it.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine.TypeConversionException;

@DisplayName("Sizes on the command line")
class ByteSizeTest {
    @ParameterizedTest(name = "{0}")
    @CsvSource({"4K, 4096", "512M, 536870912", "1G, 1073741824", "2T, 2199023255552"})
    void readsUnitsOf1024(String text, long bytes) {
        assertThat(new ByteSize().convert(text)).isEqualTo(bytes);
    }

    @ParameterizedTest(name = "''{0}''")
    @ValueSource(strings = {"", "1", "G", "-1G", "1.5G", "1GiB", "9999999999T"})
    void refusesAllElse(String text) {
        assertThatThrownBy(() -> new ByteSize().convert(text))
                .isInstanceOf(TypeConversionException.class)
                .hasMessage("expected a size such as 512M or 1G, not '" + text + "'");
    }
}
