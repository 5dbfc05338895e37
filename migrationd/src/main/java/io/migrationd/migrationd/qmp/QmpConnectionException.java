package io.migrationd.migrationd.qmp;

import java.io.IOException;

/** No answer came. What the peer does meanwhile is not known. */
public abstract sealed class QmpConnectionException extends IOException
        permits QmpClosedException, QmpTimeoutException {
    private final String what;

    QmpConnectionException(String peer, String what) {
        super(peer + ": " + what);
        this.what = what;
    }

    /** The message without the peer's name. */
    public String what() {
        return what;
    }
}
