package io.migrationd.migrationd.config;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.tomlj.Toml;
import org.tomlj.TomlArray;
import org.tomlj.TomlParseError;
import org.tomlj.TomlParseResult;
import org.tomlj.TomlTable;

/**
 * Builds the configuration: default, then file, then environment, then command line. An unknown key, a value out of
 * range and a contradiction are errors; nothing is guessed.
 */
public final class ConfigLoader {
    /** Each key is also an environment variable: {@code MIGRATIOND_CONFIG_LIMITS_MAX_GUESTS}. */
    static final String ENVIRONMENT_PREFIX = "MIGRATIOND_CONFIG_";

    /** The longest path that fits {@code sockaddr_un} with its final zero: unix(7). */
    private static final int MAX_SOCKET_PATH_BYTES = 107;

    private static final Setting<Path> RUNTIME =
            new Setting<>("paths.runtime", "/run/migrationd", SettingType.absolutePath());
    private static final Setting<Path> STATE =
            new Setting<>("paths.state", "/var/lib/migrationd", SettingType.absolutePath());
    /** Without a value it lies in the runtime directory. */
    private static final Setting<Path> GUEST_SOCKET =
            new Setting<>("paths.guest-socket", "guest.sock", SettingType.absolutePath());

    private static final Setting<Path> GUEST_DEFINITIONS =
            new Setting<>("paths.guest-definitions", "/etc/migrationd/guests.d", SettingType.absolutePath());

    private static final Setting<Set<Integer>> OBSERVE_UIDS = uids("control.observe-uids");
    private static final Setting<Set<Integer>> OBSERVE_GIDS = gids("control.observe-gids");
    private static final Setting<Set<Integer>> OPERATE_UIDS = uids("control.operate-uids");
    private static final Setting<Set<Integer>> OPERATE_GIDS = gids("control.operate-gids");
    private static final Setting<Set<Integer>> ADMINISTER_UIDS = uids("control.administer-uids");
    private static final Setting<Set<Integer>> ADMINISTER_GIDS = gids("control.administer-gids");
    private static final Setting<Integer> SOCKET_MODE =
            new Setting<>("control.socket-mode", "0660", SettingType.mode());
    private static final Setting<Long> MAX_CLIENTS = integer("control.max-clients", 64, 1, 1024);
    private static final Setting<Long> MAX_MESSAGE_BYTES =
            integer("control.max-message-bytes", 1 << 20, 4096, 64 << 20);
    private static final Setting<Long> MAX_OUTGOING_BYTES =
            integer("control.max-outgoing-bytes", 4 << 20, 64 << 10, 256 << 20);

    private static final Setting<Boolean> LISTEN_BEYOND_LOOPBACK = new Setting<>(
            "stream.listen-beyond-loopback",
            "false",
            SettingType.onlyFalse("this version has no TLS, and what listens beyond loopback needs it"));

    private static final Setting<Long> MAX_PARKED_RAM_BYTES =
            integer("limits.max-parked-ram-bytes", 16L << 30, 0, 1L << 46);
    private static final Setting<Long> MAX_GUESTS = integer("limits.max-guests", 256, 1, 4096);
    private static final Setting<Long> DEVICE_STATE_BYTES =
            integer("limits.device-state-bytes", 256 << 20, 1 << 16, 1 << 30);
    private static final Setting<Long> CONNECT_TIMEOUT_MILLIS =
            integer("limits.connect-timeout-millis", 10_000, 10, 600_000);
    private static final Setting<Long> PEER_SILENCE_MILLIS =
            integer("limits.peer-silence-millis", 30_000, 100, 3_600_000);

    private static final Setting<Boolean> RECOVERY_AUTO = new Setting<>("recovery.auto", "true", SettingType.flag());
    private static final Setting<Long> RECOVERY_MAX_INTERVAL_MILLIS =
            integer("recovery.max-interval-millis", 1_000, 50, 60_000);
    private static final Setting<Long> RECOVERY_DEAD_PEER_MILLIS =
            integer("recovery.dead-peer-millis", 5_000, 200, 600_000);
    private static final Setting<Long> RECOVERY_ANSWER_MILLIS =
            integer("recovery.answer-millis", 3_600_000, 0, 86_400_000);

    private static final Setting<Long> REPORTS_KEEP = integer("reports.keep", 1_000, 1, 100_000);
    private static final Setting<String> PEER_NAME = new Setting<>("peer.name", "", SettingType.hostName());
    private static final Setting<Optional<MigrationUri>> PEER_LISTEN =
            new Setting<>("peer.listen", "off", SettingType.optionalUri());
    private static final Setting<Optional<Path>> PEER_CERTIFICATE =
            new Setting<>("peer.tls.certificate", "off", SettingType.optionalPath());
    private static final Setting<Optional<Path>> PEER_KEY =
            new Setting<>("peer.tls.key", "off", SettingType.optionalPath());
    private static final Setting<Optional<Path>> PEER_AUTHORITY =
            new Setting<>("peer.tls.authority", "off", SettingType.optionalPath());
    private static final Setting<Long> PEER_HEARTBEAT_MILLIS = integer("peer.heartbeat-millis", 500, 10, 60_000);
    private static final Setting<Long> PEER_DEAD_MILLIS = integer("peer.dead-millis", 2_000, 50, 600_000);
    private static final Setting<Long> PEER_RECONNECT_MAX_MILLIS =
            integer("peer.reconnect-max-millis", 2_000, 100, 60_000);
    private static final Setting<Long> LINK_MAX_BUFFER_BYTES =
            integer("link.max-buffer-bytes", 32 << 20, 1 << 20, 1 << 30);

    /** Not a key but a table: {@code peers.NAME} is a list of addresses. Only the file has it. */
    private static final String PEERS = "peers";

    private static final Setting<MetricsConfig> METRICS_ADDRESS =
            new Setting<>("metrics.address", "127.0.0.1:9871", SettingType.loopbackAddress());
    private static final Setting<LogLevel> LOG_LEVEL = new Setting<>("log.level", "info", SettingType.logLevel());

    /** In the order in which they are shown. */
    private static final List<Setting<?>> ALL = List.of(
            RUNTIME,
            STATE,
            GUEST_SOCKET,
            GUEST_DEFINITIONS,
            OBSERVE_UIDS,
            OBSERVE_GIDS,
            OPERATE_UIDS,
            OPERATE_GIDS,
            ADMINISTER_UIDS,
            ADMINISTER_GIDS,
            SOCKET_MODE,
            MAX_CLIENTS,
            MAX_MESSAGE_BYTES,
            MAX_OUTGOING_BYTES,
            LISTEN_BEYOND_LOOPBACK,
            MAX_PARKED_RAM_BYTES,
            MAX_GUESTS,
            DEVICE_STATE_BYTES,
            CONNECT_TIMEOUT_MILLIS,
            PEER_SILENCE_MILLIS,
            RECOVERY_AUTO,
            RECOVERY_MAX_INTERVAL_MILLIS,
            RECOVERY_DEAD_PEER_MILLIS,
            RECOVERY_ANSWER_MILLIS,
            PEER_NAME,
            PEER_LISTEN,
            PEER_CERTIFICATE,
            PEER_KEY,
            PEER_AUTHORITY,
            PEER_HEARTBEAT_MILLIS,
            PEER_DEAD_MILLIS,
            PEER_RECONNECT_MAX_MILLIS,
            LINK_MAX_BUFFER_BYTES,
            REPORTS_KEEP,
            METRICS_ADDRESS,
            LOG_LEVEL);

    private static final Map<String, Setting<?>> BY_KEY =
            ALL.stream().collect(Collectors.toUnmodifiableMap(Setting::key, Function.identity()));
    private static final Map<String, Setting<?>> BY_ENVIRONMENT_NAME =
            ALL.stream().collect(Collectors.toUnmodifiableMap(Setting::environmentName, Function.identity()));

    /** A value as it was given, and by whom. */
    private record Given(Object raw, String origin) {}

    private final Map<String, Given> given = new HashMap<>();
    private final Map<String, Given> peers = new LinkedHashMap<>();
    private final List<LoadedConfig.Entry> entries = new ArrayList<>();

    private ConfigLoader() {}

    /**
     * Reads all sources.
     *
     * @param file a TOML file, which must exist
     * @param environment the process's; only names with our prefix are looked at
     * @param commandLine keys and values of the command line
     */
    public static LoadedConfig load(
            Optional<Path> file, Map<String, String> environment, Map<String, String> commandLine)
            throws ConfigException {
        ConfigLoader loader = new ConfigLoader();
        if (file.isPresent()) {
            loader.takeFile(file.get());
        }
        loader.takeEnvironment(environment);
        loader.takeCommandLine(commandLine);
        return loader.build();
    }

    /** All keys with their defaults as text, in the order in which they are shown. */
    static List<String> keys() {
        return ALL.stream().map(Setting::key).toList();
    }

    private void takeFile(Path file) throws ConfigException {
        TomlParseResult toml;
        try {
            toml = Toml.parse(file);
        } catch (IOException e) {
            throw new ConfigException("--config", file.toString(), "a readable file (" + e + ")", e);
        }
        if (toml.hasErrors()) {
            TomlParseError error = toml.errors().getFirst();
            throw new ConfigException(
                    "--config", file + ":" + error.position().line(), "TOML 1.0 (" + error.getMessage() + ")");
        }
        for (var entry : toml.dottedEntrySet(false)) {
            String key = entry.getKey();
            if (key.startsWith(PEERS + ".")) {
                continue;
            }
            var position = toml.inputPositionOf(key);
            String origin = position == null ? file.toString() : file + ":" + position.line();
            requireKnown(BY_KEY.containsKey(key), key, entry.getValue(), origin, BY_KEY.keySet());
            given.put(key, new Given(plain(entry.getValue()), origin));
        }
        takePeers(toml, file);
    }

    private void takePeers(TomlParseResult toml, Path file) throws ConfigException {
        if (!toml.contains(PEERS)) {
            return;
        }
        TomlTable table = toml.getTableOrEmpty(PEERS);
        for (var peer : table.entrySet()) {
            var position = table.inputPositionOf(List.of(peer.getKey()));
            String origin = position == null ? file.toString() : file + ":" + position.line();
            peers.put(peer.getKey(), new Given(plain(peer.getValue()), origin));
        }
    }

    private void takeEnvironment(Map<String, String> environment) throws ConfigException {
        for (var variable : new TreeMap<>(environment).entrySet()) {
            String name = variable.getKey();
            if (!name.startsWith(ENVIRONMENT_PREFIX)) {
                continue;
            }
            String origin = "environment " + name;
            Setting<?> setting = BY_ENVIRONMENT_NAME.get(name);
            requireKnown(setting != null, name, variable.getValue(), origin, BY_ENVIRONMENT_NAME.keySet());
            if (setting != null) {
                given.put(setting.key(), new Given(variable.getValue(), origin));
            }
        }
    }

    private void takeCommandLine(Map<String, String> commandLine) throws ConfigException {
        for (var option : commandLine.entrySet()) {
            String key = option.getKey();
            requireKnown(BY_KEY.containsKey(key), key, option.getValue(), "command line", BY_KEY.keySet());
            given.put(key, new Given(option.getValue(), "command line"));
        }
    }

    private static void requireKnown(boolean known, String key, Object value, String origin, Set<String> keys)
            throws ConfigException {
        if (!known) {
            String nearest = keys.stream().sorted().collect(Collectors.joining(", "));
            throw new ConfigException(key, value + " (" + origin + ")", "no such key; the keys are " + nearest);
        }
    }

    private static Object plain(Object toml) {
        return toml instanceof TomlArray array ? array.toList() : toml;
    }

    private LoadedConfig build() throws ConfigException {
        Path runtime = take(RUNTIME);
        PathsConfig paths = new PathsConfig(
                runtime,
                take(STATE),
                take(GUEST_SOCKET, runtime.resolve(GUEST_SOCKET.fallback()).toString()),
                take(GUEST_DEFINITIONS));
        DaemonConfig config = new DaemonConfig(
                paths,
                takeControl(),
                new StreamConfig(take(LISTEN_BEYOND_LOOPBACK)),
                takeLimits(),
                takeRecovery(),
                takePeer(),
                Math.toIntExact(take(REPORTS_KEEP)),
                take(METRICS_ADDRESS),
                take(LOG_LEVEL));
        requireNoContradiction(config);
        return new LoadedConfig(config, List.copyOf(entries));
    }

    private ControlConfig takeControl() throws ConfigException {
        return new ControlConfig(
                new Accounts(take(OBSERVE_UIDS), take(OBSERVE_GIDS)),
                new Accounts(take(OPERATE_UIDS), take(OPERATE_GIDS)),
                new Accounts(take(ADMINISTER_UIDS), take(ADMINISTER_GIDS)),
                take(SOCKET_MODE),
                Math.toIntExact(take(MAX_CLIENTS)),
                Math.toIntExact(take(MAX_MESSAGE_BYTES)),
                Math.toIntExact(take(MAX_OUTGOING_BYTES)));
    }

    private LimitsConfig takeLimits() throws ConfigException {
        return new LimitsConfig(
                take(MAX_PARKED_RAM_BYTES),
                Math.toIntExact(take(MAX_GUESTS)),
                Math.toIntExact(take(DEVICE_STATE_BYTES)),
                take(CONNECT_TIMEOUT_MILLIS),
                take(PEER_SILENCE_MILLIS));
    }

    private RecoverySettings takeRecovery() throws ConfigException {
        return new RecoverySettings(
                take(RECOVERY_AUTO),
                take(RECOVERY_MAX_INTERVAL_MILLIS),
                take(RECOVERY_DEAD_PEER_MILLIS),
                take(RECOVERY_ANSWER_MILLIS));
    }

    private PeerConfig takePeer() throws ConfigException {
        String name = take(PEER_NAME);
        Optional<MigrationUri> listen = take(PEER_LISTEN);
        Optional<Path> certificate = take(PEER_CERTIFICATE);
        Optional<Path> key = take(PEER_KEY);
        Optional<Path> authority = take(PEER_AUTHORITY);
        Optional<PeerConfig.TlsFiles> tls = Optional.empty();
        if (certificate.isPresent() && key.isPresent() && authority.isPresent()) {
            tls = Optional.of(new PeerConfig.TlsFiles(certificate.get(), key.get(), authority.get()));
        } else if (certificate.isPresent() || key.isPresent() || authority.isPresent()) {
            throw new ConfigException(
                    PEER_CERTIFICATE.key(),
                    certificate.map(Path::toString).orElse("off"),
                    "peer.tls.certificate, peer.tls.key and peer.tls.authority together, or none of them");
        }
        long heartbeat = take(PEER_HEARTBEAT_MILLIS);
        long dead = take(PEER_DEAD_MILLIS);
        if (dead < 2 * heartbeat) {
            throw new ConfigException(
                    PEER_DEAD_MILLIS.key(), Long.toString(dead), "at least twice peer.heartbeat-millis " + heartbeat);
        }
        if (listen.isPresent() && tls.isEmpty()) {
            requireLoopback(listen.get());
        }
        return new PeerConfig(
                name,
                listen,
                tls,
                heartbeat,
                dead,
                take(PEER_RECONNECT_MAX_MILLIS),
                take(LINK_MAX_BUFFER_BYTES),
                takePeerAddresses());
    }

    private static void requireLoopback(MigrationUri listen) throws ConfigException {
        try {
            if (listen instanceof MigrationUri.Tcp tcp && !tcp.isLoopback()) {
                throw new ConfigException(
                        PEER_LISTEN.key(),
                        listen.toString(),
                        "a loopback address or unix:PATH while peer.tls.certificate, peer.tls.key and"
                                + " peer.tls.authority are off");
            }
        } catch (UnknownHostException e) {
            throw new ConfigException(PEER_LISTEN.key(), listen.toString(), "a host that is known (" + e + ")", e);
        }
    }

    private Map<String, List<MigrationUri>> takePeerAddresses() throws ConfigException {
        Map<String, List<MigrationUri>> addresses = new LinkedHashMap<>();
        for (var peer : peers.entrySet()) {
            Setting<List<MigrationUri>> setting =
                    new Setting<>(PEERS + "." + Toml.joinKeyPath(List.of(peer.getKey())), "", SettingType.uris());
            given.put(setting.key(), peer.getValue());
            addresses.put(peer.getKey(), take(setting));
        }
        return Collections.unmodifiableMap(addresses);
    }

    private <T> T take(Setting<T> setting) throws ConfigException {
        return take(setting, setting.fallback());
    }

    private <T> T take(Setting<T> setting, String fallback) throws ConfigException {
        Given value = given.getOrDefault(setting.key(), new Given(fallback, "default"));
        T read = setting.type()
                .read(value.raw())
                .orElseThrow(() -> new ConfigException(
                        setting.key(),
                        value.raw() + " (" + value.origin() + ")",
                        setting.type().allowed()));
        entries.add(new LoadedConfig.Entry(setting.key(), setting.type().show(read), value.origin()));
        return read;
    }

    private static void requireNoContradiction(DaemonConfig config) throws ConfigException {
        PathsConfig paths = config.paths();
        if (paths.runtime().startsWith(paths.state()) || paths.state().startsWith(paths.runtime())) {
            throw new ConfigException(
                    STATE.key(), paths.state().toString(), "a directory apart from paths.runtime " + paths.runtime());
        }
        if (paths.guestSocket().equals(paths.controlSocket())
                || paths.guestSocket().startsWith(paths.guestSockets())) {
            throw new ConfigException(
                    GUEST_SOCKET.key(), paths.guestSocket().toString(), "a path that is not a control socket's");
        }
        for (Path socket : Stream.of(paths.controlSocket(), paths.guestSocket()).toList()) {
            if (socket.toString().getBytes(StandardCharsets.UTF_8).length > MAX_SOCKET_PATH_BYTES) {
                throw new ConfigException(
                        RUNTIME.key(),
                        paths.runtime().toString(),
                        "a path so short that " + socket + " fits " + MAX_SOCKET_PATH_BYTES + " bytes");
            }
        }
        ControlConfig control = config.control();
        if (control.maxOutgoingBytes() < control.maxMessageBytes()) {
            throw new ConfigException(
                    MAX_OUTGOING_BYTES.key(),
                    Integer.toString(control.maxOutgoingBytes()),
                    "at least control.max-message-bytes " + control.maxMessageBytes());
        }
    }

    private static Setting<Set<Integer>> uids(String key) {
        return new Setting<>(key, "", SettingType.ids(AccountNames.USERS));
    }

    private static Setting<Set<Integer>> gids(String key) {
        return new Setting<>(key, "", SettingType.ids(AccountNames.GROUPS));
    }

    private static Setting<Long> integer(String key, long fallback, long lowest, long highest) {
        return new Setting<>(key, Long.toString(fallback), SettingType.integer(lowest, highest));
    }
}
