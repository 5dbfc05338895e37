package io.migrationd.migrationd.config;

import java.nio.file.Path;

/**
 * Where the daemon keeps its files.
 *
 * @param runtime sockets; empty after a reboot
 * @param state what must survive a restart
 * @param guestSocket where VMMs hand their memory over
 * @param guestDefinitions what an administrator says of the QEMU guests of this host, a file each
 */
public record PathsConfig(Path runtime, Path state, Path guestSocket, Path guestDefinitions) {
    /** The daemon's control socket. */
    public Path controlSocket() {
        return runtime.resolve("control.sock");
    }

    /** The directory of the run directories of QEMUs that the daemon starts. */
    public Path qemuRuns() {
        return runtime.resolve("qemu");
    }

    /** The directory of the guests' own control sockets. */
    public Path guestSockets() {
        return runtime.resolve("guests");
    }

    /** One guest's own control socket. */
    public Path guestControlSocket(String guest) {
        return guestSockets().resolve(guest + ".qmp");
    }
}
