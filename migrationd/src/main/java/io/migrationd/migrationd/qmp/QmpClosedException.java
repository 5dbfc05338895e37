package io.migrationd.migrationd.qmp;

/** The connection could not be made, or it is over: the peer has ended, most likely. */
public final class QmpClosedException extends QmpConnectionException {
    QmpClosedException(String peer, String what) {
        super(peer, what);
    }

    QmpClosedException(String peer, String what, Throwable cause) {
        super(peer, what);
        initCause(cause);
    }
}
