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

    /** Fails unless {@code offset} is that of a host page of the block. */
    void requireHostPage(long offset) {
        if (offset < 0 || offset >= ram.lengthBytes() || offset % hostPageBytes() != 0) {
            throw new IllegalArgumentException("block %s of %d bytes has no page of %d bytes at %d"
                    .formatted(name(), ram.lengthBytes(), hostPageBytes(), offset));
        }
    }

    /** Whether all guest pages of the host page at {@code offset} are there. */
    public boolean isHostPageReceived(long offset) {
        long first = offset / targetPageBytes;
        long end = first + hostPageBytes() / targetPageBytes;
        return received.get(first) && received.nextMissing(first) >= end;
    }

    /** All guest pages of the host page at {@code offset} are there. */
    public void markHostPageReceived(long offset) {
        long first = offset / targetPageBytes;
        received.set(first, first + hostPageBytes() / targetPageBytes);
    }

    /** Whether any guest page of the host pages at {@code offset} is there. */
    boolean isAnyReceived(long offset, int hostPages) {
        long first = offset / targetPageBytes;
        return received.isAnySet(first, first + (long) hostPages * (hostPageBytes() / targetPageBytes));
    }

    /** All guest pages of so many host pages at {@code offset} are there. */
    void markHostPagesReceived(long offset, int hostPages) {
        long first = offset / targetPageBytes;
        received.set(first, first + (long) hostPages * (hostPageBytes() / targetPageBytes));
    }

    /** Fails if a page is missing. */
    void requireComplete() {
        if (!received.isComplete()) {
            throw new IllegalStateException("page %d of block %s is missing, and %d of %d are there"
                    .formatted(received.nextMissing(0), name(), received.cardinality(), received.pageCount()));
        }
    }
}
