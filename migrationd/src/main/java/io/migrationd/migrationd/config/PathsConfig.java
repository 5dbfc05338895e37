package io.migrationd.migrationd.config;

import java.nio.file.Path;

/**
 * Where the daemon keeps its files.
 *
 * @param runtime sockets; empty after a reboot
 * @param state what must survive a restart
 * @param guestSocket where VMMs hand their memory over
 */
public record PathsConfig(Path runtime, Path state, Path guestSocket) {
    /** The daemon's control socket. */
    public Path controlSocket() {
        return runtime.resolve("control.sock");
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
