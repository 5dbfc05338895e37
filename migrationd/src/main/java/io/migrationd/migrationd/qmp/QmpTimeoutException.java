package io.migrationd.migrationd.qmp;

/** No answer within the deadline. The connection stands: a peer whose main loop is blocked answers later. */
public final class QmpTimeoutException extends QmpConnectionException {
    private final boolean sent;

    QmpTimeoutException(String peer, String what, boolean sent) {
        super(peer, what);
        this.sent = sent;
    }

    /** Whether the command was sent, so that it may still be executed. */
    public boolean sent() {
        return sent;
    }
}
