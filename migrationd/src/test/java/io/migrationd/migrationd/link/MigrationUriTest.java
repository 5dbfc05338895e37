package io.migrationd.migrationd.link;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.net.UnknownHostException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Migration URI")
class MigrationUriTest {
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        tcp:10.0.0.1:4444     | tcp:10.0.0.1:4444
        tcp:host-b:0          | tcp:host-b:0
        tcp:host-b:65535      | tcp:host-b:65535
        tcp:[::1]:4444        | tcp:[::1]:4444
        tcp:[fe80::1%eth0]:1  | tcp:[fe80::1%eth0]:1
        tcp::4444             | tcp:0.0.0.0:4444
        unix:/run/m.sock      | unix:/run/m.sock
        unix:rel ative        | unix:rel ative
        unix:/a:b             | unix:/a:b
        """)
    void parses(String uri, String text) {
        assertThat(MigrationUri.parse(uri)).hasToString(text);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        exec:cat        | unknown migration protocol: 'exec:cat' (tcp:HOST:PORT and unix:PATH are supported)
        TCP:a:1         | unknown migration protocol: 'TCP:a:1' (tcp:HOST:PORT and unix:PATH are supported)
        ``              | unknown migration protocol: '' (tcp:HOST:PORT and unix:PATH are supported)
        tcp:            | 'tcp:' has no port; tcp:HOST:PORT is expected
        tcp:host        | 'tcp:host' has no port; tcp:HOST:PORT is expected
        tcp:host:       | 'tcp:host:' has no port from 0 to 65535
        tcp:host:65536  | 'tcp:host:65536' has no port from 0 to 65535
        tcp:host:-1     | 'tcp:host:-1' has no port from 0 to 65535
        tcp:host:4x     | 'tcp:host:4x' has no port from 0 to 65535
        unix:           | the socket path '' has 0 bytes, 1 to 107 are possible
        """)
    void rejects(String uri, String message) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MigrationUri.parse(uri))
                .withMessage(message);
    }

    @Test
    void measuresAPathInBytes() {
        assertThat(MigrationUri.parse("unix:" + "é".repeat(53) + "a")).isInstanceOf(MigrationUri.Unix.class);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> MigrationUri.parse("unix:" + "é".repeat(54)))
                .withMessageEndingWith("has 108 bytes, 1 to 107 are possible");
        assertThatIllegalArgumentException().isThrownBy(() -> MigrationUri.parse("unix:/a\0b"));
    }

    @ParameterizedTest
    @CsvSource({"127.0.0.1, true", "127.9.9.9, true", "::1, true", "0.0.0.0, false", "192.0.2.1, false", "::, false"})
    void knowsLoopback(String host, boolean loopback) throws UnknownHostException {
        assertThat(new MigrationUri.Tcp(host, 1).isLoopback()).isEqualTo(loopback);
    }
}
