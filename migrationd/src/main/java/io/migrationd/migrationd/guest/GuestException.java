package io.migrationd.migrationd.guest;

import java.io.IOException;

/** A guest did not do what it was asked: it is gone, it refused, or it broke the guest protocol. */
public final class GuestException extends IOException {
    /** A sentence of facts: guest, operation, what came. */
    public GuestException(String message) {
        super(message);
    }

    /** With the failure below it. */
    public GuestException(String message, Throwable cause) {
        super(message, cause);
    }
}
