package io.migrationd.migrationd.state;

import io.migrationd.migrationd.link.StreamOutput;
import java.io.IOException;

/**
 * State that is sent while the guest runs, in parts: RAM today, dirty bitmaps later. The verbs are the seed's (QEMU
 * SaveVMHandlers); the loading ones are in {@link LoadingHandler}. All calls come from the migration thread.
 */
public interface SavingHandler {
    /** Writes the body of the section's START. */
    void setup(StreamOutput out) throws IOException;

    /**
     * Writes the body of one PART, until nothing is left or {@code budget} is used up.
     *
     * @return whether nothing is left for now
     */
    boolean iterate(StreamOutput out, IterationBudget budget) throws IOException;

    /** Bytes that are left, from what is known without asking. */
    long pendingEstimate();

    /** Bytes that are left after looking at what the guest has written meanwhile. */
    long pendingExact() throws IOException;

    /** The guest is stopped: writes the body of the section's END with all that is left. */
    void completePrecopy(StreamOutput out) throws IOException;

    /** Whether what is left may be sent after the guest has started at the destination. */
    boolean hasPostcopy();

    /** All that was left is at the destination: writes the body of the section's END. */
    void completePostcopy(StreamOutput out) throws IOException;

    /** Postcopy goes on over a new connection: makes ready from what the destination has said that it has. */
    void resumePrepare();

    /** Gives back what {@link #setup} took. Called once, also after a failure at any point. */
    void cleanup();

    /** Says how far one PART may go. */
    @FunctionalInterface
    interface IterationBudget {
        /** Whether to go on after {@code sentBytes} of this part. */
        boolean allows(long sentBytes);
    }
}
