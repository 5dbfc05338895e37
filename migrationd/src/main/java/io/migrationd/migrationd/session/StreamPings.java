package io.migrationd.migrationd.session;

/** Values of PING that mean something to us. A QEMU just answers them. */
public final class StreamPings {
    /** QEMU's at the start. Wire source: QEMU 10.0 migration/migration.c, migration_thread. */
    public static final int START = 1;

    /** Behind the discards: memory at the destination is what postcopy starts from. */
    public static final int DISCARDED = 2;

    /** Within the package, behind the device state. */
    public static final int DEVICES = 3;

    /** Behind the package: the destination's listen thread reads. */
    public static final int LISTENING = 4;

    /** Last in the package before RUN: the answer says that the guest is about to run. QEMU 10.2 and later. */
    public static final int PACKAGE_LOADED = 0x42;

    /** Ours in postcopy, every second: the answer says that both directions live. */
    public static final int HEARTBEAT = 0x45;

    /** Ours behind SHUT: the source has heard how it ended, and will not ask again. */
    public static final int SHUT_HEARD = 0x46;

    /** Ours behind the last device section: the answer says that all before is loaded and can be started. */
    public static final int LOADED = 0x44;

    private StreamPings() {}
}
