package io.migrationd.returnpath;

import java.io.IOException;
import java.util.Optional;

/**
 * What the source does with what the destination says. All calls come from the thread {@code mig-rp-<id>}, in the order
 * of the wire, each checked before. No call may wait for page sending: the destination may itself be blocked in writing
 * a request, and then nobody would move any more.
 */
public interface ReturnPathListener {
    /** The destination's last message; only {@link #onClosed} follows. 0 is good. */
    void onShut(int status);

    /** An answer to a PING. More, fewer or other PONGs than expected are harmless. */
    void onPong(int value);

    /** The guest at the destination waits for this range. It lies within the block and is aligned to host pages. */
    void onPageRequest(String block, long start, int lengthBytes);

    /** The answer to a request of the received bitmap, at most one for each block and connection. */
    void onReceivedBitmap(String block, ReceivedPages pages);

    /** The destination goes on with postcopy. */
    void onResumeAck();

    /** The destination's devices allow the switchover. */
    void onSwitchoverAck();

    /** The last call: nothing is read any more. Empty after SHUT, whatever its status. */
    void onClosed(Optional<IOException> failure);
}
