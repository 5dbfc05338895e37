package io.migrationd.it.bench;

import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.util.Map;

/** Two QEMUs with a guest in the first one, which has written its RAM, and a way to the second one. */
@SuppressWarnings("try") // A run may be interrupted while it ends.
interface RelayRun extends AutoCloseable {
    /** No cap for QEMU; its own 0 means 128 MiB/s in some versions. */
    long NO_CAP = 1L << 40;

    /** The QEMU that sends. Its client has seen all events of the move. */
    QmpClient source();

    /** The QEMU that receives; there is one as soon as a move has begun. */
    QmpClient target();

    /** Precopy, until the guest is where it belongs: running if it ran before. */
    void precopy(Map<String, Long> parameters, boolean running) throws Exception;

    /** Postcopy with preempt from the first pages on, until both ends are done. */
    void postcopy(Map<String, Long> parameters) throws Exception;

    /** CPU time so far of all who take part, by role. */
    Map<String, Double> cpuSeconds() throws IOException;

    @Override
    void close() throws Exception;
}
