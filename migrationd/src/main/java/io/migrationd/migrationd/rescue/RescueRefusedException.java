package io.migrationd.migrationd.rescue;

import java.io.IOException;

/** A rescue was not begun: it could harm the guest, or what it needs is not there. Nothing was changed. */
public final class RescueRefusedException extends IOException {
    /** A sentence of facts. */
    public RescueRefusedException(String message) {
        super(message);
    }

    /** With the failure below it. */
    public RescueRefusedException(String message, Throwable cause) {
        super(message, cause);
    }
}
