package io.migrationd.protocol.stream;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Text of the peer")
class PrintableTest {
    @Test
    void isShownAsOneLineOfVisibleCharacters() {
        assertThat(Printable.quote("pc.ram")).isEqualTo("'pc.ram'");
        assertThat(Printable.quote("")).isEqualTo("''");
        assertThat(Printable.quote("a'b\\c\n\u001b[31m\u00ff")).isEqualTo("'a\\x27b\\x5cc\\x0a\\x1b[31m\\xff'");
    }

    @Test
    void isBounded() {
        assertThat(Printable.quote("x".repeat(1000))).hasSize(305).endsWith("x...'");
    }
}
