package io.migrationd.migrationd.move;

/** What a machine wants of its QEMU. Sent one after the other, in order. */
public enum QemuCommand {
    /** Target: start the process with {@code -incoming defer -S}, set it up, migrate-incoming; answered by Prepared. */
    START_INCOMING,
    /** Source: capabilities and parameters, among them return-path and pause-before-switchover. */
    SET_UP,
    /** Source: migrate. */
    MIGRATE,
    /** Source: a downtime limit that lets it switch over at the end of this pass. */
    SWITCH_OVER,
    /** Source: migrate-continue. */
    CONTINUE_GATE,
    STOP,
    CONT,
    /** Source: migrate_cancel. */
    CANCEL,
    /** Source: migrate-start-postcopy. */
    START_POSTCOPY,
    /** Out of band: migrate-pause. */
    PAUSE,
    /** Target, out of band: migrate-recover to a fresh address; answered by RecoverListening. */
    RECOVER,
    /** Source: migrate resume=true. */
    RESUME,
    /** Source: the guest is elsewhere: quit, or keep it stopped, as the policy says. */
    RETIRE,
    /** SIGKILL and wait until it is dead. */
    KILL
}
