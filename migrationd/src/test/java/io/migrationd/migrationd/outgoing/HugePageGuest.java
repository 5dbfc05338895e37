package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/** A guest whose block {@code huge} says that it is made of pages of 2 MiB, on a host that has none to give. */
record HugePageGuest(MemoryGuest guest) implements Guest {
    static final int HUGE_PAGE_BYTES = 2 << 20;

    @Override
    public List<RamBlock> ram() {
        return guest.ram().stream()
                .map(block -> block.name().equals("huge") ? new HugeBlock(block) : block)
                .toList();
    }

    private record HugeBlock(RamBlock block) implements RamBlock {
        @Override
        public String name() {
            return block.name();
        }

        @Override
        public long lengthBytes() {
            return block.lengthBytes();
        }

        @Override
        public int pageSizeBytes() {
            return HUGE_PAGE_BYTES;
        }

        @Override
        public void readPages(long offset, int count, int pageBytes, MemorySegment buffer, long at, long stride)
                throws ErrnoException {
            block.readPages(offset, count, pageBytes, buffer, at, stride);
        }

        @Override
        public void writePages(long offset, int count, int pageBytes, MemorySegment buffer, long at, long stride)
                throws ErrnoException {
            block.writePages(offset, count, pageBytes, buffer, at, stride);
        }

        @Override
        public void punchHole(long offset, long lengthBytes) throws ErrnoException {
            block.punchHole(offset, lengthBytes);
        }

        @Override
        public long nextData(long offset) throws ErrnoException {
            return block.nextData(offset);
        }

        @Override
        public long nextHole(long offset) throws ErrnoException {
            return block.nextHole(offset);
        }
    }

    @Override
    public String name() {
        return guest.name();
    }

    @Override
    public GuestKind kind() {
        return guest.kind();
    }

    @Override
    public Optional<UUID> uuid() {
        return guest.uuid();
    }

    @Override
    public Optional<String> machineType() {
        return guest.machineType();
    }

    @Override
    public int targetPageSizeBytes() {
        return guest.targetPageSizeBytes();
    }

    @Override
    public RunState runState() {
        return guest.runState();
    }

    @Override
    public RunState stateToAnnounce() {
        return guest.stateToAnnounce();
    }

    @Override
    public DirtyLog openDirtyLog() throws GuestException {
        return guest.openDirtyLog();
    }

    @Override
    public void stopForSwitchover() throws GuestException {
        guest.stopForSwitchover();
    }

    @Override
    public void resumeAfterFailure() {
        guest.resumeAfterFailure();
    }

    @Override
    public void releaseAfterMigration() {
        guest.releaseAfterMigration();
    }

    @Override
    public List<DeviceSection> saveDevices() throws GuestException {
        return guest.saveDevices();
    }

    @Override
    public IncomingMemory reopenIncoming(String session) throws IOException {
        return guest.reopenIncoming(session);
    }

    @Override
    public IncomingGuest beginIncoming() {
        return guest.beginIncoming();
    }

    @Override
    public void completeIncoming() throws IOException {
        guest.completeIncoming();
    }
}
