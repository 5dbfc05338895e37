package io.migrationd.migrationd.config;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;

/** How much is logged. */
public enum LogLevel {
    ERROR,
    WARN,
    INFO,
    DEBUG,
    TRACE;

    /** The name in a configuration. */
    public String configName() {
        return name().toLowerCase(Locale.ROOT);
    }

    static Optional<LogLevel> named(String configName) {
        return Arrays.stream(values())
                .filter(level -> level.configName().equals(configName))
                .findFirst();
    }
}
