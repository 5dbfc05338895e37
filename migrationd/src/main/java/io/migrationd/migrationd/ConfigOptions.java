package io.migrationd.migrationd;

import io.migrationd.migrationd.config.ConfigException;
import io.migrationd.migrationd.config.ConfigLoader;
import io.migrationd.migrationd.config.LoadedConfig;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** Where a command's configuration comes from. */
final class ConfigOptions {
    private static final Path DEFAULT_FILE = Path.of("/etc/migrationd/migrationd.toml");

    @Option(
            names = "--config",
            paramLabel = "FILE",
            description = "TOML file. Default: /etc/migrationd/migrationd.toml if it is there.")
    private @Nullable Path file;

    @Option(
            names = "--set",
            paramLabel = "KEY=VALUE",
            description = "Overrides one key, for example --set log.level=debug. May be repeated.")
    private Map<String, String> overrides = new LinkedHashMap<>();

    LoadedConfig load() throws ConfigException {
        Path chosen = file;
        Optional<Path> source =
                chosen != null ? Optional.of(chosen) : Optional.of(DEFAULT_FILE).filter(java.nio.file.Files::exists);
        return ConfigLoader.load(source, System.getenv(), overrides);
    }
}
