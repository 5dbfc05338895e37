package io.migrationd.migrationd.rescue;

import io.migrationd.protocol.stream.StreamLimits;

/**
 * What has to be kept of a migration's main stream until its destination is known to run: without it a guest whose
 * destination dies cannot be put together again. Byte for byte as the source sent it; the arrays are not copied.
 *
 * @param prologue header and configuration; commands may follow and are not looked at
 * @param ramSetup the START section of {@code ram}, from its type byte to its footer
 * @param packaged what command PACKAGED carries, behind its length; empty as long as it has not come
 */
public record KeptParts(byte[] prologue, byte[] ramSetup, byte[] packaged) {
    /** A configuration holds a few names. */
    public static final int MAX_PROLOGUE_BYTES = 64 << 10;

    /** Block names and lengths. */
    public static final int MAX_RAM_SETUP_BYTES = 2 << 20;

    /** Device state. */
    public static final int MAX_PACKAGED_BYTES = StreamLimits.MAX_PACKAGE;

    /** Checks the sizes. */
    public KeptParts {
        require("prologue", prologue.length, 1, MAX_PROLOGUE_BYTES);
        require("ram setup", ramSetup.length, 1, MAX_RAM_SETUP_BYTES);
        require("packaged", packaged.length, 0, MAX_PACKAGED_BYTES);
    }

    private static void require(String part, int bytes, int least, int most) {
        if (bytes < least || bytes > most) {
            throw new IllegalArgumentException("%s of %d bytes, must be %d to %d".formatted(part, bytes, least, most));
        }
    }
}
