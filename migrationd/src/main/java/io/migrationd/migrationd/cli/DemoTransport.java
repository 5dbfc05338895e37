package io.migrationd.migrationd.cli;

import java.nio.file.Path;

/** What the demo's stream goes over. */
enum DemoTransport {
    TCP,
    UNIX;

    /** An address that nobody else has: the kernel chooses the port, and the directory is ours. */
    String uri(Path directory) {
        return switch (this) {
            case TCP -> "tcp:127.0.0.1:0";
            case UNIX -> "unix:" + directory.resolve("stream.sock");
        };
    }
}
