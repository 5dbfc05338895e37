package io.migrationd.migrationd.config;

import io.migrationd.migrationd.link.MigrationUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The link with the daemons of other hosts.
 *
 * @param name of this host to its peers, empty for the kernel's name of it; two daemons that call the same third one
 *     must not share it
 * @param listen where we listen for them; empty when switched off
 * @param tls empty without TLS; then {@code listen} is loopback or a Unix socket
 * @param heartbeatMillis between two pings
 * @param deadMillis silence after which a connection is given up, at least twice {@code heartbeatMillis}
 * @param reconnectMaxMillis longest pause between two attempts to connect
 * @param maxBufferBytes most bytes of one channel and direction that are under way
 * @param peers addresses of each host by its name, in the order of the file
 */
public record PeerConfig(
        String name,
        Optional<MigrationUri> listen,
        Optional<TlsFiles> tls,
        long heartbeatMillis,
        long deadMillis,
        long reconnectMaxMillis,
        long maxBufferBytes,
        Map<String, List<MigrationUri>> peers) {
    /** The name, or what the kernel calls this host. */
    public String hostName() throws IOException {
        return name.isEmpty()
                ? Files.readString(Path.of("/proc/sys/kernel/hostname")).strip()
                : name;
    }

    /** PEM files. */
    public record TlsFiles(Path certificate, Path key, Path authority) {}
}
