package io.migrationd.postcopy.fault;

import java.io.IOException;

/** What a {@link FaultService} does with what it reads. All calls come from its thread. */
public interface FaultSink {
    /**
     * A thread of the guest waits for the page at {@code hostVirtual}.
     *
     * @param thread its id, 0 when the userfaultfd does not tell (no FEATURE_THREAD_ID)
     */
    void missing(long hostVirtual, int thread) throws IOException;

    /** The guest gives up what is in the range, and goes on when this returns. Called under the service's lock. */
    void givenUp(long startHostVirtual, long endHostVirtual) throws IOException;
}
