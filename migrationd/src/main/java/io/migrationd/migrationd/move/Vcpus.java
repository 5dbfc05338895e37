package io.migrationd.migrationd.move;

/** {@code query-status}, as far as a move cares. */
public enum Vcpus {
    RUNNING,
    /** Paused, finish-migrate, postmigrate, prelaunch ... */
    STOPPED,
    /** inmigrate: a destination that has not loaded everything it needs to run. */
    INCOMING;

    /** A word of QMP. */
    public static Vcpus parse(String word) {
        return switch (word) {
            case "running" -> RUNNING;
            case "inmigrate" -> INCOMING;
            default -> STOPPED;
        };
    }
}
