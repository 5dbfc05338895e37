package io.migrationd.migrationd.config;

import io.migrationd.migrationd.link.MigrationUri;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The link with the daemons of other hosts.
 *
 * @param listen where we listen for them; empty when switched off
 * @param tls empty without TLS; then {@code listen} is loopback or a Unix socket
 * @param heartbeatMillis between two pings
 * @param deadMillis silence after which a connection is given up, at least twice {@code heartbeatMillis}
 * @param reconnectMaxMillis longest pause between two attempts to connect
 * @param maxBufferBytes most bytes of one channel and direction that are under way
 * @param peers addresses of each host by its name, in the order of the file
 */
public record PeerConfig(
        Optional<MigrationUri> listen,
        Optional<TlsFiles> tls,
        long heartbeatMillis,
        long deadMillis,
        long reconnectMaxMillis,
        long maxBufferBytes,
        Map<String, List<MigrationUri>> peers) {
    /** PEM files. */
    public record TlsFiles(Path certificate, Path key, Path authority) {}
}
