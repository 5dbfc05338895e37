package io.migrationd.migrationd.guest.qemu;

/**
 * What {@code query-status} said. Says nothing of vCPUs that wait for missing pages.
 *
 * @param name QEMU's run state, for example {@code running}, {@code paused}, {@code inmigrate}, {@code postmigrate}
 * @param running whether its vCPUs may run
 */
public record QemuRunState(String name, boolean running) {}
