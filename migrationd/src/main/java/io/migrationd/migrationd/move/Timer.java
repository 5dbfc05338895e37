package io.migrationd.migrationd.move;

/** What a machine may wait for. How long is the driver's business. */
public enum Timer {
    /** Try again, with backoff. */
    RETRY,
    /** QEMU had time enough to notice that its connections are closed. */
    STUCK
}
