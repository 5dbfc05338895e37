package io.migrationd.migrationd.state;

import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;

/** Takes the bodies of one iterable section. The counterpart of {@link SavingHandler}. One thread. */
public interface LoadingHandler {
    /** Reads one body (START, PART or END alike) up to its last byte; the footer is the loader's. */
    void load(StreamReader in) throws IOException;

    /** Whether the source must wait for this handler's approval before it stops the guest (switchover-ack). */
    boolean switchoverAckNeeded();
}
