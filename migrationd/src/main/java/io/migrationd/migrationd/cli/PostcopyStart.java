package io.migrationd.migrationd.cli;

import java.util.Locale;

/** When a migration goes over to postcopy: parameter {@code postcopy-policy}. */
enum PostcopyStart {
    NEVER,
    MANUAL,
    AFTER_FIRST_PASS,
    AUTO;

    /** As on the command line and in the parameter. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
