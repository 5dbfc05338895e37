package io.migrationd.migrationd.session;

/** Values of PING that mean something to us. A QEMU just answers them. */
public final class StreamPings {
    /** QEMU's at the start. Wire source: QEMU 10.0 migration/migration.c, migration_thread. */
    public static final int START = 1;

    /** Ours behind the last device section: the answer says that all before is loaded and can be started. */
    public static final int LOADED = 0x44;

    private StreamPings() {}
}
