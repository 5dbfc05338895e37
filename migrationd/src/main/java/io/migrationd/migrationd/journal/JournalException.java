package io.migrationd.migrationd.journal;

import java.io.IOException;

/** The journal can't be read or written: a move must not go on as if it had been. */
public final class JournalException extends IOException {
    /** What was to be done, and why it failed. */
    public JournalException(String message, Throwable cause) {
        super(message, cause);
    }

    /** What is wrong. */
    public JournalException(String message) {
        super(message);
    }
}
