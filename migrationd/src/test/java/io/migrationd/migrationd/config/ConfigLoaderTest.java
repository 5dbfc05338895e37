package io.migrationd.migrationd.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Configuration")
class ConfigLoaderTest {
    @TempDir
    private Path directory;

    @Test
    void defaultsStandByThemselves() throws ConfigException {
        DaemonConfig config = load("", Map.of(), Map.of()).config();
        assertThat(config)
                .isEqualTo(new DaemonConfig(
                        new PathsConfig(
                                Path.of("/run/migrationd"),
                                Path.of("/var/lib/migrationd"),
                                Path.of("/run/migrationd/guest.sock")),
                        new ControlConfig(Accounts.NONE, Accounts.NONE, Accounts.NONE, 0660, 64, 1 << 20, 4 << 20),
                        new StreamConfig(false),
                        new LimitsConfig(16L << 30, 256, 256 << 20, 10_000, 30_000),
                        new RecoverySettings(true, 1_000, 5_000, 3_600_000),
                        new PeerConfig(Optional.empty(), Optional.empty(), 500, 2000, 2000, 32 << 20, Map.of()),
                        new MetricsConfig(Optional.of(new InetSocketAddress(InetAddress.ofLiteral("127.0.0.1"), 9871))),
                        LogLevel.INFO));
        assertThat(config.paths().controlSocket()).isEqualTo(Path.of("/run/migrationd/control.sock"));
        assertThat(config.paths().guestControlSocket("web01")).isEqualTo(Path.of("/run/migrationd/guests/web01.qmp"));
    }

    @Test
    void laterSourcesWin() throws ConfigException {
        String file = "[limits]\nmax-guests = 1\nconnect-timeout-millis = 11\npeer-silence-millis = 111\n";
        Map<String, String> environment = Map.of(
                "MIGRATIOND_CONFIG_LIMITS_MAX_GUESTS",
                "2",
                "MIGRATIOND_CONFIG_LIMITS_CONNECT_TIMEOUT_MILLIS",
                "22",
                "HOME",
                "/");
        LoadedConfig loaded = load(file, environment, Map.of("limits.max-guests", "3"));

        assertThat(loaded.config().limits().maxGuests()).isEqualTo(3);
        assertThat(loaded.config().limits().connectTimeoutMillis()).isEqualTo(22);
        assertThat(loaded.config().limits().peerSilenceMillis()).isEqualTo(111);
        assertThat(loaded.print().lines())
                .anyMatch(line -> line.matches("limits\\.max-guests = 3 +# command line"))
                .anyMatch(line -> line.matches("limits\\.connect-timeout-millis = 22 +# environment "
                        + "MIGRATIOND_CONFIG_LIMITS_CONNECT_TIMEOUT_MILLIS"))
                .anyMatch(line -> line.matches("limits\\.peer-silence-millis = 111 +# .*/migrationd.toml:4"))
                .anyMatch(line -> line.matches("log\\.level = \"info\" +# default"));
    }

    @Test
    void everyKeyIsShownAndWhatIsShownIsAFile() throws ConfigException {
        LoadedConfig first = load(
                "",
                Map.of(
                        "MIGRATIOND_CONFIG_CONTROL_OPERATE_GIDS",
                        "root, 4294967294",
                        "MIGRATIOND_CONFIG_METRICS_ADDRESS",
                        "[::1]:0"),
                Map.of("control.socket-mode", "0600"));
        assertThat(first.entries()).extracting(LoadedConfig.Entry::key).isEqualTo(ConfigLoader.keys());
        assertThat(load(first.print(), Map.of(), Map.of()).config()).isEqualTo(first.config());
    }

    @Test
    void sampleFileIsTheDefaultsButForItsGroup() throws ConfigException, IOException {
        String sample = Files.readString(Path.of("../deploy/migrationd.toml"));
        assertThat(sample).contains("operate-gids = [\"migrationd\"]");
        LoadedConfig loaded = load(sample.replace("[\"migrationd\"]", "[]"), Map.of(), Map.of());
        assertThat(loaded.config()).isEqualTo(load("", Map.of(), Map.of()).config());
        assertThat(loaded.entries()).extracting(LoadedConfig.Entry::origin).doesNotContain("default");
    }

    @Test
    void recoveryIsSetKeyByKey() throws ConfigException {
        String file = "[recovery]\nauto = false\nmax-interval-millis = 50\ndead-peer-millis = 600_000\n";
        Map<String, String> environment = Map.of("MIGRATIOND_CONFIG_RECOVERY_ANSWER_MILLIS", "0");
        assertThat(load(file, environment, Map.of("recovery.auto", "true"))
                        .config()
                        .recovery())
                .isEqualTo(new RecoverySettings(true, 50, 600_000, 0));
        assertThat(load(file, environment, Map.of()).config().recovery().auto()).isFalse();
        assertThat(RecoverySettings.DEFAULTS)
                .isEqualTo(load("", Map.of(), Map.of()).config().recovery());
    }

    @Test
    void peersHaveAddressesAndTls() throws ConfigException {
        String file = """
                [peers]
                hostB = ["tcp:10.0.0.2:4460", "tcp:[fd00::2]:4460"]
                "host.c" = ["unix:/run/c.sock"]
                [peer]
                listen = "tcp:0.0.0.0:4460"
                tls.certificate = "/etc/migrationd/tls/host.pem"
                tls.key = "/etc/migrationd/tls/host.key"
                tls.authority = "/etc/migrationd/tls/authority.pem"
                """;
        LoadedConfig loaded = load(file, Map.of(), Map.of());
        PeerConfig peer = loaded.config().peer();
        assertThat(peer.listen()).contains(new MigrationUri.Tcp("0.0.0.0", 4460));
        assertThat(peer.tls())
                .contains(new PeerConfig.TlsFiles(
                        Path.of("/etc/migrationd/tls/host.pem"),
                        Path.of("/etc/migrationd/tls/host.key"),
                        Path.of("/etc/migrationd/tls/authority.pem")));
        assertThat(peer.peers())
                .isEqualTo(Map.of(
                        "hostB",
                        List.of(new MigrationUri.Tcp("10.0.0.2", 4460), new MigrationUri.Tcp("fd00::2", 4460)),
                        "host.c",
                        List.of(new MigrationUri.Unix("/run/c.sock"))));
        assertThat(loaded.print().lines())
                .anyMatch(line ->
                        line.matches("peers\\.hostB = \\[\"tcp:10.0.0.2:4460\", .*\\] +# .*/migrationd.toml:2"));
        assertThat(load(loaded.print(), Map.of(), Map.of()).config()).isEqualTo(loaded.config());
    }

    @Test
    void guestSocketFollowsTheRuntimeDirectory() throws ConfigException {
        assertThat(load("paths.runtime = \"/run/other\"", Map.of(), Map.of())
                        .config()
                        .paths()
                        .guestSocket())
                .isEqualTo(Path.of("/run/other/guest.sock"));
    }

    @Test
    void accountsAreNumbersOrNames() throws ConfigException {
        DaemonConfig config = load(
                        "[control]\nobserve-uids = [1001, \"root\"]\nadminister-gids = [\"0\", 7]\n",
                        Map.of(),
                        Map.of())
                .config();
        assertThat(config.control().observe().uids()).containsExactlyInAnyOrder(1001, 0);
        assertThat(config.control().administer().gids()).containsExactlyInAnyOrder(0, 7);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        limits.max-guests = 0                   | limits.max-guests = 0 (FILE:1): allowed: an integer from 1 to 4096
        limits.max-guests = 4097                | limits.max-guests = 4097 (FILE:1): allowed: an integer from 1 to 4096
        limits.max-guests = 1.5                 | limits.max-guests = 1.5 (FILE:1): allowed: an integer from 1 to 4096
        limits.max-guests = true                | limits.max-guests = true (FILE:1): allowed: an integer from 1 to 4096
        limits.max-guests = "many"              | limits.max-guests = many (FILE:1): allowed: an integer from 1 to 4096
        limits.device-state-bytes = 65535       | limits.device-state-bytes = 65535 (FILE:1): allowed: an integer from 65536 to 1073741824
        limits.no-such-key = 1                  | limits.no-such-key = 1 (FILE:1): allowed: no such key; the keys are control.administer-gids, control.administer-uids,
        limit.max-guests = 1                    | limit.max-guests = 1 (FILE:1): allowed: no such key
        Limits.max-guests = 1                   | Limits.max-guests = 1 (FILE:1): allowed: no such key
        paths.runtime = "run"                   | paths.runtime = run (FILE:1): allowed: an absolute path without . and ..
        paths.runtime = "/run/../x"             | paths.runtime = /run/../x (FILE:1): allowed: an absolute path without . and ..
        paths.runtime = "/var/lib/migrationd/r" | paths.state = /var/lib/migrationd: allowed: a directory apart from paths.runtime /var/lib/migrationd/r
        paths.guest-socket = "/run/migrationd/control.sock" | paths.guest-socket = /run/migrationd/control.sock: allowed: a path that is not a control socket's
        control.socket-mode = 0                 | control.socket-mode = 0 (FILE:1): allowed: an octal mode without execute bits in quotes
        control.socket-mode = "0777"            | control.socket-mode = 0777 (FILE:1): allowed: an octal mode without execute bits in quotes
        control.observe-gids = [-1]             | control.observe-gids = [-1] (FILE:1): allowed: a list of numbers and of names in /etc/group
        control.observe-uids = ["no such"]      | control.observe-uids = [no such] (FILE:1): allowed: a list of numbers and of names in /etc/passwd
        control.observe-uids = [[1]]            | control.observe-uids = [
        control.max-outgoing-bytes = 65536      | control.max-outgoing-bytes = 65536: allowed: at least control.max-message-bytes 1048576
        stream.listen-beyond-loopback = true    | stream.listen-beyond-loopback = true (FILE:1): allowed: false (this version has no TLS, and what listens beyond loopback needs it)
        recovery.auto = 1                       | recovery.auto = 1 (FILE:1): allowed: true or false
        recovery.auto = "yes"                   | recovery.auto = yes (FILE:1): allowed: true or false
        recovery.max-interval-millis = 49       | recovery.max-interval-millis = 49 (FILE:1): allowed: an integer from 50 to 60000
        recovery.max-interval-millis = 60001    | recovery.max-interval-millis = 60001 (FILE:1): allowed: an integer from 50 to 60000
        recovery.dead-peer-millis = 199         | recovery.dead-peer-millis = 199 (FILE:1): allowed: an integer from 200 to 600000
        recovery.answer-millis = -1             | recovery.answer-millis = -1 (FILE:1): allowed: an integer from 0 to 86400000
        recovery.max-interval = 1000            | recovery.max-interval = 1000 (FILE:1): allowed: no such key
        metrics.address = "0.0.0.0:9871"        | metrics.address = 0.0.0.0:9871 (FILE:1): allowed: "off" or a loopback address with port
        metrics.address = "localhost:9871"      | metrics.address = localhost:9871 (FILE:1): allowed: "off" or a loopback address with port
        metrics.address = "127.0.0.1:65536"     | metrics.address = 127.0.0.1:65536 (FILE:1): allowed: "off" or a loopback address with port
        metrics.address = "127.0.0.1"           | metrics.address = 127.0.0.1 (FILE:1): allowed: "off" or a loopback address with port
        peer.listen = "tcp:0.0.0.0:4460"        | peer.listen = tcp:0.0.0.0:4460: allowed: a loopback address or unix:PATH while peer.tls.certificate
        peer.listen = "10.0.0.1:4460"           | peer.listen = 10.0.0.1:4460 (FILE:1): allowed: "off", "tcp:HOST:PORT" or "unix:PATH"
        peer.tls.key = "/k"                     | peer.tls.certificate = off: allowed: peer.tls.certificate, peer.tls.key and peer.tls.authority together
        peer.tls.key = "k"                      | peer.tls.key = k (FILE:1): allowed: "off" or an absolute path
        peer.dead-millis = 999                  | peer.dead-millis = 999: allowed: at least twice peer.heartbeat-millis 500
        link.max-buffer-bytes = 1000            | link.max-buffer-bytes = 1000 (FILE:1): allowed: an integer from 1048576 to 1073741824
        peers = 1                               | peers = 1 (FILE:1): allowed: no such key
        peers.b = "b"                           | peers.b = b (FILE:1): allowed: a list of at least one "tcp:HOST:PORT" or "unix:PATH"
        peers.b = []                            | peers.b = [] (FILE:1): allowed: a list of at least one "tcp:HOST:PORT" or "unix:PATH"
        log.level = "verbose"                   | log.level = verbose (FILE:1): allowed: error, warn, info, debug or trace
        log.level = INFO                        | --config = FILE:1: allowed: TOML 1.0 (
        log.level = "info";log.level = "warn"   | --config = FILE:2: allowed: TOML 1.0 (
        """)
    void refuses(String file, String message) {
        assertThatThrownBy(() -> load(file.replace(';', '\n'), Map.of(), Map.of()))
                .isInstanceOf(ConfigException.class)
                .hasMessageStartingWith(message.replace("FILE", file().toString()));
    }

    @Test
    void refusesUnknownNamesEverywhere() {
        assertThatThrownBy(() -> load("", Map.of("MIGRATIOND_CONFIG_LIMITS_MAX_GUEST", "1"), Map.of()))
                .isInstanceOf(ConfigException.class)
                .hasMessageStartingWith(
                        "MIGRATIOND_CONFIG_LIMITS_MAX_GUEST = 1 (environment MIGRATIOND_CONFIG_LIMITS_MAX_GUEST): allowed: no such key");
        assertThatThrownBy(() -> load("", Map.of(), Map.of("log", "debug")))
                .isInstanceOf(ConfigException.class)
                .hasMessageStartingWith("log = debug (command line): allowed: no such key");
    }

    @Test
    void refusesAFileThatIsNotThere() {
        assertThatThrownBy(() -> ConfigLoader.load(Optional.of(directory.resolve("none.toml")), Map.of(), Map.of()))
                .isInstanceOf(ConfigException.class)
                .hasMessageStartingWith("--config = " + directory.resolve("none.toml") + ": allowed: a readable file");
    }

    @Test
    void refusesARuntimeDirectoryTooLongForSockets() {
        assertThatThrownBy(() -> load("", Map.of(), Map.of("paths.runtime", "/run/" + "x".repeat(100))))
                .isInstanceOf(ConfigException.class)
                .hasMessageContaining("fits 107 bytes");
    }

    @Test
    void leavesTheLaunchersVariableAlone() throws ConfigException {
        assertThat(load("", Map.of("MIGRATIOND_HEAP", "1g"), Map.of())
                        .config()
                        .limits()
                        .maxGuests())
                .isEqualTo(256);
    }

    private Path file() {
        return directory.resolve("migrationd.toml");
    }

    private LoadedConfig load(String file, Map<String, String> environment, Map<String, String> commandLine)
            throws ConfigException {
        try {
            Files.writeString(file(), file);
        } catch (IOException e) {
            throw new AssertionError(e);
        }
        return ConfigLoader.load(Optional.of(file()), environment, commandLine);
    }
}
