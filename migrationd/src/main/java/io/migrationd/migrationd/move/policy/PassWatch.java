package io.migrationd.migrationd.move.policy;

/**
 * Follows what each pass leaves: the remaining bytes at the first look after QEMU has read the dirty log anew. That is
 * the one moment at which QEMU knows all that is dirty, and the only figures that can be compared. A pass in which the
 * link was down is not compared with anything.
 */
final class PassWatch {
    private final int stallPasses;
    private final int stallPercent;
    private long passes = -1;
    private boolean disturbed;
    private boolean ended;
    private long left = Long.MAX_VALUE;
    private long leftBefore = Long.MAX_VALUE;
    private int idlePasses;

    PassWatch(int stallPasses, int stallPercent) {
        this.stallPasses = stallPasses;
        this.stallPercent = stallPercent;
    }

    /** The link is down: the pass that goes on says nothing about the guest. */
    void disturb() {
        disturbed = true;
    }

    /** Takes the next look. */
    void look(Look look) {
        long before = passes;
        passes = look.dirtySyncCount();
        // The first pass leaves nothing to compare with: it is the whole of RAM.
        ended = before >= 0 && passes > before && passes >= 2;
        if (!ended) {
            return;
        }
        leftBefore = disturbed ? Long.MAX_VALUE : left;
        left = look.remainingBytes();
        disturbed = false;
        if (leftBefore != Long.MAX_VALUE) {
            idlePasses = left > leftBefore / 100.0 * (100 - stallPercent) ? idlePasses + 1 : 0;
        }
    }

    /** Something was done about it: begin to count anew. */
    void startOver() {
        idlePasses = 0;
    }

    /** True at the first look behind a pass. */
    boolean passEnded() {
        return ended;
    }

    boolean isFirstPassOver() {
        return passes >= 2;
    }

    /** True if the pass that just ended fell short. */
    boolean madeNoProgress() {
        return ended && idlePasses > 0;
    }

    boolean isStalled() {
        return idlePasses >= stallPasses;
    }

    int idlePasses() {
        return idlePasses;
    }

    /** What the last pass has left. */
    long leftBytes() {
        return left;
    }

    /** True if the last pass left about what the one before did, or more: the valley is reached. */
    boolean isAtMinimum() {
        return ended && idlePasses > 0 && left <= leftBefore / 100.0 * (100 + stallPercent);
    }
}
