package io.migrationd.migrationd.guest.process;

import java.util.Locale;

/** What the daemon asks of a VMM: the member {@code verb} of a request. */
public enum GuestVerb {
    /** Park every thread that writes guest memory; the reply means that none writes any more. */
    STOP,
    /** Run again after {@link #STOP}. */
    RESUME,
    /** Hand the device state over. */
    SAVE,
    /** Take device state; memory is complete. */
    LOAD,
    /** What was loaded becomes the guest; it starts if the request says so. */
    RUN,
    /** Forget what was loaded and wait again. */
    DISCARD,
    /** The guest has migrated away: stop if need be and never run again. */
    RELEASE,
    /** Say where the guest stands. */
    STATUS;

    /** The word in JSON. */
    public String jsonName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
