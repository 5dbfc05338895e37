package io.migrationd.migrationd.config;

import java.util.Locale;

/**
 * One key: what it takes and how it is shown.
 *
 * @param key lower case with dashes, {@code table.name}
 * @param fallback the default, as it would be written on the command line
 * @param type reads and shows values
 */
record Setting<T>(String key, String fallback, SettingType<T> type) {
    /** {@code limits.max-guests} is {@code MIGRATIOND_CONFIG_LIMITS_MAX_GUESTS}. */
    String environmentName() {
        return ConfigLoader.ENVIRONMENT_PREFIX
                + key.replace('.', '_').replace('-', '_').toUpperCase(Locale.ROOT);
    }
}
