package io.migrationd.it.bench;

import java.nio.file.Path;
import java.util.Locale;

/** The kinds that take turns, in their order. */
enum RelayKind {
    DIRECT_STILL,
    RELAYED_STILL,
    DIRECT_ALONE,
    DIRECT,
    DIRECT_UNIX,
    RELAYED,
    DIRECT_IDLE,
    RELAYED_IDLE,
    DIRECT_LOADED,
    RELAYED_LOADED;

    /** Key in the report. */
    String word() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    boolean isRelayed() {
        return this == RELAYED_STILL || this == RELAYED || this == RELAYED_IDLE || this == RELAYED_LOADED;
    }

    boolean isPostcopy() {
        return this == DIRECT_IDLE || this == RELAYED_IDLE || isLoaded();
    }

    /** Whether QEMU sends the rest as fast as it can, while the guest asks for pages. */
    boolean isLoaded() {
        return this == DIRECT_LOADED || this == RELAYED_LOADED;
    }

    /** Whether the guest runs when it is moved. */
    boolean isRunning() {
        return this != DIRECT_STILL && this != RELAYED_STILL;
    }

    /** Where the destination listens in a direct run. */
    String listenUri(Path folder) {
        return this == DIRECT_UNIX ? "unix:" + folder.resolve("target.mig") : "tcp:127.0.0.1:0";
    }

    DirectRun.Handover handover() {
        return this == DIRECT_ALONE || isPostcopy() ? DirectRun.Handover.BY_ITSELF : DirectRun.Handover.BY_CLIENT;
    }
}
