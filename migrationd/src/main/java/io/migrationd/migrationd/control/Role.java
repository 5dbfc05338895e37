package io.migrationd.migrationd.control;

import java.util.Locale;

/** What a client may do. Each role may do what those before it may. */
public enum Role {
    /** Ask, and hear events. */
    OBSERVE,
    /** Migrate, stop and continue guests. */
    OPERATE,
    /** Create and remove guests. */
    ADMINISTER;

    /** The name in texts and logs. */
    public String label() {
        return name().toLowerCase(Locale.ROOT);
    }

    /** Whether this role includes {@code needed}. */
    public boolean includes(Role needed) {
        return compareTo(needed) >= 0;
    }
}
