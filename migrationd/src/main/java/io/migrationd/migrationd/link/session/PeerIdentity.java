package io.migrationd.migrationd.link.session;

import java.nio.charset.StandardCharsets;
import java.util.UUID;

/**
 * Who a daemon is.
 *
 * @param host its host's name, the same in its peers' configuration; two daemons that call the same third one must not
 *     share it
 * @param incarnation chosen anew whenever the daemon starts
 */
public record PeerIdentity(String host, UUID incarnation) {
    /** Longest name in bytes. */
    public static final int MAX_HOST_BYTES = 255;

    /** Checks the name's length. */
    public PeerIdentity {
        int length = host.getBytes(StandardCharsets.UTF_8).length;
        if (length < 1 || length > MAX_HOST_BYTES) {
            throw new IllegalArgumentException(
                    "the host name '%s' has %d bytes, 1 to %d are possible".formatted(host, length, MAX_HOST_BYTES));
        }
    }
}
