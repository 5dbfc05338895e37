package io.migrationd.migrationd.relay;

import java.util.function.Supplier;

/**
 * Who looks at what passes; each connection gets its own.
 *
 * @param main forward direction of the main connection
 * @param returnPath its other direction
 * @param preempt forward direction of the preempt connection
 * @param multifd forward direction of each multifd connection
 */
public record RelayTaps(
        Supplier<StreamTap> main,
        Supplier<StreamTap> returnPath,
        Supplier<StreamTap> preempt,
        Supplier<StreamTap> multifd) {
    /** Nobody. */
    public static final RelayTaps NONE =
            new RelayTaps(() -> StreamTap.NONE, () -> StreamTap.NONE, () -> StreamTap.NONE, () -> StreamTap.NONE);
}
