package io.migrationd.migrationd.cli;

import java.util.Locale;

/** What {@code migrationctl} tells the program that started it. Scripts depend on the numbers: they never change. */
public enum ExitCode {
    DONE(0, "done"),
    FAILED_AT_SOURCE(1, "failed; the guest is at the source"),
    USAGE(2, "wrong usage"),
    REFUSED(3, "refused before any data moved"),
    CANCELLED(4, "cancelled; the guest is at the source"),
    AT_DESTINATION_WITH_WARNING(5, "the guest is at the destination, with a warning"),
    PAUSED(6, "paused; recovery is under way"),
    LOST(7, "lost; see the report"),
    UNREACHABLE(8, "the daemon cannot be reached"),
    TIMED_OUT(9, "timed out waiting; the job goes on");

    private final int code;
    private final String meaning;

    ExitCode(int code, String meaning) {
        this.code = code;
        this.meaning = meaning;
    }

    /** The process's exit status. */
    public int code() {
        return code;
    }

    /** What it says of the guest, in a few words. */
    public String meaning() {
        return meaning;
    }

    /** The name in JSON. */
    public String jsonName() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}
