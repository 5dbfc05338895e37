package io.migrationd.postcopy;

import io.migrationd.postcopy.memory.RamBlock;

/** A RAM block on its way in, and which of its guest pages are there. */
public final class IncomingBlock {
    private final RamBlock ram;
    private final int targetPageBytes;
    private final ReceivedBitmap received;

    /** Nothing is received. */
    public IncomingBlock(RamBlock ram, int targetPageBytes) {
        this.ram = ram;
        this.targetPageBytes = targetPageBytes;
        this.received = new ReceivedBitmap(ram.lengthBytes() / targetPageBytes);
    }

    /** The block. */
    public RamBlock ram() {
        return ram;
    }

    /** The block's name on the wire. */
    public String name() {
        return ram.name();
    }

    /** What a bit of {@link #received} stands for. */
    public int targetPageBytes() {
        return targetPageBytes;
    }

    /** What is placed and asked for at once: the page size that backs the block, at least the guest's. */
    public int hostPageBytes() {
        return Math.max(ram.pageSizeBytes(), targetPageBytes);
    }

    /** Which guest pages are there. */
    public ReceivedBitmap received() {
        return received;
    }
}
