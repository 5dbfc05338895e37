package io.migrationd.migrationd.config;

import io.migrationd.migrationd.link.MigrationUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;

/**
 * The daemons of other hosts.
 *
 * @param name this host's name to its peers, empty for the kernel's; two daemons that call the same third one must not
 *     share it
 * @param listen where they may call
 * @param tls certificate and key of this host, and the authority of all; without it only loopback and Unix sockets
 * @param heartbeatMillis a ping goes out this often
 * @param deadMillis a connection from which nothing came for so long is given up
 * @param reconnectMaxMillis longest pause between two attempts
 * @param maxBufferBytes most bytes of one channel and direction under way
 * @param addresses of the daemons that this one may call, by name
 */
public record PeerConfig(
        String name,
        Optional<MigrationUri> listen,
        Optional<Tls> tls,
        long heartbeatMillis,
        long deadMillis,
        long reconnectMaxMillis,
        long maxBufferBytes,
        SortedMap<String, List<MigrationUri>> addresses) {
    /** Copies the map. */
    public PeerConfig {
        addresses = new TreeMap<>(addresses);
    }

    /** The name, or what the kernel calls this host. */
    public String hostName() throws IOException {
        return name.isEmpty()
                ? Files.readString(Path.of("/proc/sys/kernel/hostname")).strip()
                : name;
    }

    /** PEM files. */
    public record Tls(Path certificate, Path key, Path authority) {}
}
