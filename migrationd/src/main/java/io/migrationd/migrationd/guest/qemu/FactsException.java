package io.migrationd.migrationd.guest.qemu;

import java.io.IOException;

/** The other daemon sent facts that are none. */
public final class FactsException extends IOException {
    FactsException(String member, String expected) {
        super("%s: expected %s".formatted(member, expected));
    }
}
