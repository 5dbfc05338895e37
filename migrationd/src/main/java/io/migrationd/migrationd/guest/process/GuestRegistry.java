package io.migrationd.migrationd.guest.process;

import java.util.Optional;

/**
 * Hears of guests that come and go. {@link #attached} and {@link #detached} are called in order on one thread of the
 * listener; they may ask the guest, which then keeps the news of other guests waiting.
 */
public interface GuestRegistry {
    /**
     * Why a new guest of that name cannot be taken: its name is another guest's. Called on the connection's thread;
     * must not wait. A guest that only comes back is not asked for.
     */
    Optional<String> refusal(String name);

    /** A guest has attached: for the first time, or again after {@link #detached}. */
    void attached(ProcessGuest guest);

    /**
     * Its connection has ended. The guest keeps its memory; if the daemon forgets it, it calls
     * {@link GuestListener#forget}.
     */
    void detached(ProcessGuest guest);
}
