package io.migrationd.migrationd;

import io.migrationd.migrationd.config.ConfigException;
import io.migrationd.migrationd.config.ConfigLoader;
import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** Reads a configuration and shows what it means. */
@Command(
        name = "check-config",
        mixinStandardHelpOptions = true,
        description = "Checks a configuration file and prints every key with its value and where that came from.")
final class CheckConfigCommand implements Callable<Integer> {
    @Parameters(paramLabel = "FILE", description = "The TOML file.")
    private Path file = Path.of("");

    @Override
    public Integer call() {
        try {
            System.out.print(ConfigLoader.load(Optional.of(file), System.getenv(), Map.of())
                    .print());
            return 0;
        } catch (ConfigException e) {
            System.err.println("migrationd: " + e.getMessage());
            return 2;
        }
    }
}
