package io.migrationd.migrationd.qmp;

/** The peer refused a command. Nothing was changed by it. */
public final class QmpException extends Exception {
    private final String request;
    private final String errorClass;

    /** What the answer to {@code request} said. */
    public QmpException(String request, String errorClass, String description) {
        super(description);
        this.request = request;
        this.errorClass = errorClass;
    }

    /** The command as it was sent. */
    public String request() {
        return request;
    }

    /** QMP's error class. */
    public String errorClass() {
        return errorClass;
    }
}
