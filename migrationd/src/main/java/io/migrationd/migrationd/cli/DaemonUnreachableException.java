package io.migrationd.migrationd.cli;

import java.io.IOException;
import java.nio.file.Path;

/** There is no daemon behind the socket, or none that answers. What it does meanwhile is not known. */
public final class DaemonUnreachableException extends IOException {
    private final Path socket;

    DaemonUnreachableException(Path socket, String what) {
        super("daemon at %s: %s".formatted(socket, what));
        this.socket = socket;
    }

    DaemonUnreachableException(Path socket, String what, Throwable cause) {
        super("daemon at %s: %s".formatted(socket, what), cause);
        this.socket = socket;
    }

    /** The socket that was tried. */
    public Path socket() {
        return socket;
    }
}
