package io.migrationd.migrationd.guest.parked;

import io.migrationd.migrationd.guest.DeviceFormat;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.StoredIncomingMemory;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.nio.file.Files;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/** Receives a stream into a parked guest: it takes any machine, any block and any device, within the host's budget. */
final class ParkedReceiver implements IncomingGuest {
    private static final int RECORD_VERSION = 1;

    private final ParkedGuest guest;
    private final List<ParkedBlock> blocks = new ArrayList<>();
    private long reservedBytes;
    private @Nullable String machineType;
    private boolean ended;
    private boolean hasGuest;

    ParkedReceiver(ParkedGuest guest) {
        this.guest = guest;
    }

    @Override
    public void machineType(String received, long offset) {
        machineType = received;
    }

    @Override
    public RamBlock block(String name, long lengthBytes, int pageSizeBytes, long offset)
            throws ProtocolException, ErrnoException {
        if (!guest.budget().reserve(lengthBytes)) {
            throw new ProtocolException(
                    "ram.blocks.length",
                    offset,
                    "at most %d bytes, what is left of limits.max-parked-ram-bytes"
                            .formatted(guest.budget().leftBytes()),
                    "%d bytes for '%s'".formatted(lengthBytes, name));
        }
        reservedBytes += lengthBytes;
        try {
            Files.createDirectories(guest.ramDirectory());
        } catch (IOException e) {
            throw new ProtocolException("ram.blocks", offset, "room for '" + name + "'", e.toString(), e);
        }
        ParkedBlock block = ParkedBlock.create(
                guest.ramDirectory().resolve(ParkedGuest.fileName(name)), name, lengthBytes, pageSizeBytes, offset);
        blocks.add(block);
        return block;
    }

    @Override
    public Optional<List<DeviceFormat>> devices() {
        return Optional.empty();
    }

    @Override
    public void prepare(List<DeviceSection> sections) throws ErrnoException {
        for (ParkedBlock block : blocks) {
            block.sync();
        }
    }

    @Override
    public boolean mayRun() {
        return hasGuest;
    }

    @Override
    public void commit(List<DeviceSection> sections, IncomingState state) throws IOException {
        record(ParkedRecord.COMPLETE, sections, state);
    }

    @Override
    public void advisePostcopy() {
        // Nothing runs here that could meet a missing page.
    }

    @Override
    public IncomingMemory listen(String session, List<IncomingBlock> incoming) throws IOException {
        return StoredIncomingMemory.of(incoming);
    }

    /** The source has given the guest away: from now on what is here is kept, and what is missing is asked for. */
    @Override
    public void run(List<DeviceSection> sections, IncomingState state) throws IOException {
        record(ParkedRecord.RECEIVING, sections, state);
        hasGuest = true;
    }

    /**
     * RAM first: after a crash of the host each page of a block must be either what it was when the record was written
     * or a later one, never an older one.
     */
    private void record(String recordState, List<DeviceSection> sections, IncomingState state) throws IOException {
        for (ParkedBlock block : blocks) {
            block.sync();
        }
        ParkedRecord.syncDirectory(guest.ramDirectory());
        guest.received(
                new ParkedRecord(
                        RECORD_VERSION,
                        recordState,
                        machineType,
                        state.targetPageSizeBytes(),
                        state.uuid().map(UUID::toString).orElse(null),
                        state.runState(),
                        blocks.stream().map(ParkedBlock::toRecord).toList(),
                        sections),
                blocks);
        ended = true;
    }

    @Override
    public void abort() {
        if (ended) {
            return;
        }
        ended = true;
        blocks.forEach(ParkedBlock::close);
        guest.budget().release(reservedBytes);
        guest.notReceived();
    }
}
