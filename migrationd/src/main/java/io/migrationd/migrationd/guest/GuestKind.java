package io.migrationd.migrationd.guest;

import java.util.Locale;

/** Who runs a guest and who holds its memory. */
public enum GuestKind {
    /** A VMM that handed its memory over by the guest socket. */
    PROCESS,
    /** A QEMU process with a QMP socket. */
    QEMU,
    /** RAM and device sections held by the daemon. */
    PARKED;

    /** The name in JSON. */
    public String jsonName() {
        return name().toLowerCase(Locale.ROOT);
    }
}
