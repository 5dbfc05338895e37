package io.migrationd.it.peer;

import java.io.IOException;

/** The peer answered a command with an error. */
public final class QmpException extends IOException {
    private final String errorClass;
    private final String description;

    QmpException(String peer, String command, String errorClass, String description) {
        super("%s: %s: [%s] %s".formatted(peer, command, errorClass, description));
        this.errorClass = errorClass;
        this.description = description;
    }

    /** QMP's class, such as {@code GenericError}. */
    public String errorClass() {
        return errorClass;
    }

    /** The text alone. */
    public String description() {
        return description;
    }
}
