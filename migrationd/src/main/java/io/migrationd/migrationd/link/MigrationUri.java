package io.migrationd.migrationd.link;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;

/** Where a migration stream goes or comes from: {@code tcp:HOST:PORT} or {@code unix:PATH}, as QEMU writes it. */
public sealed interface MigrationUri {
    /**
     * A TCP address; {@code host} may be a name, an IPv4 address or an IPv6 address in brackets. Port 0 listens
     * anywhere.
     */
    record Tcp(String host, int port) implements MigrationUri {
        @Override
        public String toString() {
            return "tcp:" + (host.contains(":") ? "[" + host + "]" : host) + ":" + port;
        }

        /** Whether every address of the host is loopback. */
        public boolean isLoopback() throws UnknownHostException {
            for (InetAddress address : InetAddress.getAllByName(host)) {
                if (!address.isLoopbackAddress()) {
                    return false;
                }
            }
            return true;
        }

        /** Resolves the host. */
        public InetSocketAddress resolve() throws UnknownHostException {
            return new InetSocketAddress(InetAddress.getByName(host), port);
        }
    }

    /** A socket in the file system. */
    record Unix(String path) implements MigrationUri {
        @Override
        public String toString() {
            return "unix:" + path;
        }
    }

    /** The longest path that fits {@code sockaddr_un}. */
    int MAX_UNIX_PATH_BYTES = 107;

    /**
     * Parses a URI.
     *
     * @throws IllegalArgumentException with a sentence that says what is allowed
     */
    static MigrationUri parse(String uri) {
        if (uri.startsWith("unix:")) {
            return unix(uri.substring("unix:".length()));
        }
        if (uri.startsWith("tcp:")) {
            return tcp(uri.substring("tcp:".length()), uri);
        }
        throw new IllegalArgumentException(
                "unknown migration protocol: '%s' (tcp:HOST:PORT and unix:PATH are supported)".formatted(uri));
    }

    private static MigrationUri unix(String path) {
        int length = path.getBytes(StandardCharsets.UTF_8).length;
        if (length == 0 || length > MAX_UNIX_PATH_BYTES || path.indexOf('\0') >= 0) {
            throw new IllegalArgumentException("the socket path '%s' has %d bytes, 1 to %d are possible"
                    .formatted(path, length, MAX_UNIX_PATH_BYTES));
        }
        return new Unix(path);
    }

    private static MigrationUri tcp(String rest, String uri) {
        int colon = rest.lastIndexOf(':');
        if (colon < 0) {
            throw new IllegalArgumentException("'%s' has no port; tcp:HOST:PORT is expected".formatted(uri));
        }
        String host = rest.substring(0, colon);
        if (host.startsWith("[") && host.endsWith("]")) {
            host = host.substring(1, host.length() - 1);
        }
        if (host.isEmpty()) {
            host = "0.0.0.0";
        }
        try {
            int port = Integer.parseInt(rest.substring(colon + 1));
            if (port >= 0 && port <= 65535) {
                return new Tcp(host, port);
            }
        } catch (NumberFormatException e) {
            // Falls through to the sentence below: the cause says nothing more.
        }
        throw new IllegalArgumentException("'%s' has no port from 0 to 65535".formatted(uri));
    }

    /** The URI of a bound TCP socket. */
    static MigrationUri of(SocketAddress bound) {
        InetSocketAddress inet = (InetSocketAddress) bound;
        return new Tcp(inet.getAddress().getHostAddress(), inet.getPort());
    }
}
