package io.migrationd.protocol.inspect;

import io.migrationd.protocol.stream.Printable;
import java.nio.charset.StandardCharsets;
import java.util.Set;

/** The {@code globalstate} section: the run state before the source stopped. Wire source: migration/global_state.c. */
final class GlobalState {
    private static final int NAME_OFFSET = 4;
    private static final int NAME_BYTES = 32;
    private static final Set<String> NAMES = Set.of(
            "debug",
            "inmigrate",
            "internal-error",
            "io-error",
            "paused",
            "postmigrate",
            "prelaunch",
            "finish-migrate",
            "restore-vm",
            "running",
            "save-vm",
            "shutdown",
            "suspended",
            "watchdog",
            "guest-panicked",
            "colo");

    private GlobalState() {}

    /** Adds the state's name. A name that no version up to 11.1 has is shown, but a destination would refuse it. */
    static void describe(byte[] body, BodyReport report) {
        if (body.length < NAME_OFFSET + NAME_BYTES) {
            return;
        }
        int length = 0;
        while (length < NAME_BYTES - 1 && body[NAME_OFFSET + length] != 0) {
            length++;
        }
        String name = new String(body, NAME_OFFSET, length, StandardCharsets.ISO_8859_1);
        report.detail("run_state", NAMES.contains(name) ? name : Printable.quote(name) + ", which is not known");
    }
}
