package io.migrationd.postcopy;

import io.migrationd.postcopy.fault.PageRequests;
import io.migrationd.postcopy.memory.GuestRange;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Placement;
import io.migrationd.postcopy.os.Userfaultfd;
import java.lang.foreign.MemorySegment;

/** A block where it lies in the guest's process, and what the guest's userfaultfd can do there. Any thread. */
final class GuestRegion {
    private final IncomingBlock block;
    private final GuestRange range;
    private final Userfaultfd userfaultfd;
    private final MemorySegment zeroes;
    private final int pageBytes;
    private volatile boolean offersZeropage;

    /** {@code zeroes} is at least a page of the block. */
    GuestRegion(IncomingBlock block, GuestRange range, Userfaultfd userfaultfd, MemorySegment zeroes) {
        this.block = block;
        this.range = range;
        this.userfaultfd = userfaultfd;
        this.zeroes = zeroes;
        this.pageBytes = block.hostPageBytes();
    }

    IncomingBlock block() {
        return block;
    }

    boolean contains(long hostVirtual) {
        return hostVirtual >= range.hostVirtual() && hostVirtual < range.endHostVirtual();
    }

    /** Where the host page with that address starts in the block. */
    long pageOffset(long hostVirtual) {
        long offset = hostVirtual - range.hostVirtual();
        return offset - offset % pageBytes;
    }

    long hostVirtual(long offset) {
        return range.hostVirtual() + offset;
    }

    /** From now on missing pages fault. Write tracking goes on: the range keeps what it had. */
    void guard() throws ErrnoException {
        try {
            long mode = Userfaultfd.REGISTER_MISSING | Userfaultfd.REGISTER_WP;
            long offered = userfaultfd.register(range.hostVirtual(), range.lengthBytes(), mode);
            offersZeropage = (offered & Userfaultfd.OFFERS_ZEROPAGE) != 0;
        } catch (ErrnoException e) {
            throw explained(e);
        }
    }

    /**
     * Missing pages no longer fault. The kernel lets go of a mode only with the whole registration, and with it of what
     * it had noted of writes: a dirty log that looks now finds every page written.
     */
    void unguard() throws ErrnoException {
        try {
            userfaultfd.unregister(range.hostVirtual(), range.lengthBytes());
            userfaultfd.register(range.hostVirtual(), range.lengthBytes(), Userfaultfd.REGISTER_WP);
            wake(0, range.lengthBytes());
        } catch (ErrnoException e) {
            throw explained(e);
        }
    }

    Placement copy(long offset, MemorySegment source, long sourceOffset) throws ErrnoException {
        try {
            return userfaultfd.copy(hostVirtual(offset), source, sourceOffset, pageBytes, 0);
        } catch (ErrnoException e) {
            throw explained(e);
        }
    }

    /** {@code source} holds all of them, from 0 on. */
    Placement copy(long offset, int pages, MemorySegment source) throws ErrnoException {
        try {
            return userfaultfd.copy(hostVirtual(offset), source, 0, (long) pages * pageBytes, 0);
        } catch (ErrnoException e) {
            throw explained(e);
        }
    }

    Placement zero(long offset) throws ErrnoException {
        if (!offersZeropage) {
            return copy(offset, zeroes, 0);
        }
        try {
            return userfaultfd.zeropage(hostVirtual(offset), pageBytes, 0);
        } catch (ErrnoException e) {
            throw explained(e);
        }
    }

    /**
     * Ends a fault on a page that was received: it is a hole, and so zeroes, or it is there by now. Whoever waits goes
     * on, or faults again: while the mappings change, behind the message that says so.
     */
    void fillHole(long offset) throws ErrnoException {
        try {
            if (zero(offset) != Placement.PLACED) {
                wakePage(offset);
            }
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ENOENT) {
                throw e;
            }
            wakePage(offset); // The guest has unmapped it: what happens now is between it and the kernel.
        }
    }

    void wakePage(long offset) throws ErrnoException {
        wake(offset, pageBytes);
    }

    void wakeAll() throws ErrnoException {
        wake(0, range.lengthBytes());
    }

    /** The guest gives up what is between two addresses: host pages that are wholly in it count as received. */
    void giveUp(long startHostVirtual, long endHostVirtual, PageRequests requests) throws ErrnoException {
        long start = Math.max(0, startHostVirtual - range.hostVirtual());
        long end = Math.min(range.lengthBytes(), endHostVirtual - range.hostVirtual());
        long from = Math.ceilDiv(start, pageBytes) * pageBytes;
        long to = Math.floorDiv(end, pageBytes) * (long) pageBytes;
        if (from < to) {
            block.received().set(from / block.targetPageBytes(), to / block.targetPageBytes());
            requests.removeRange(hostVirtual(from), hostVirtual(to));
            wake(from, to - from);
        }
    }

    private void wake(long offset, long lengthBytes) throws ErrnoException {
        try {
            userfaultfd.wake(hostVirtual(offset), lengthBytes);
        } catch (ErrnoException e) {
            throw explained(e);
        }
    }

    private ErrnoException explained(ErrnoException refusal) {
        if (refusal.errno() != Errno.ESRCH) {
            return refusal;
        }
        ErrnoException explained = new ErrnoException(
                refusal.call(), Errno.ESRCH, "block=" + block.name() + ": the guest's process has ended");
        explained.initCause(refusal);
        return explained;
    }
}
