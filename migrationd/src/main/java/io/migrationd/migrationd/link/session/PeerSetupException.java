package io.migrationd.migrationd.link.session;

import java.io.IOException;

/** The operator's configuration of the link is wrong: the message says what and what would be right. */
public final class PeerSetupException extends IOException {
    /** With the whole sentence. */
    public PeerSetupException(String message) {
        super(message);
    }

    /** The same, found out by an error. */
    public PeerSetupException(String message, Throwable cause) {
        super(message, cause);
    }
}
