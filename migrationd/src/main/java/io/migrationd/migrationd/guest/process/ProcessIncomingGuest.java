package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.DeviceFormat;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** An incoming migration of a process guest: RAM goes straight into its memfds, device state to its VMM at the end. */
final class ProcessIncomingGuest implements IncomingGuest {
    private static final Logger log = LoggerFactory.getLogger(ProcessIncomingGuest.class);

    private final ProcessGuest guest;
    private final Set<String> announced = new HashSet<>();
    /** Sections that the guest has loaded; -1 before. */
    private int loaded = -1;

    private Phase phase = Phase.RECEIVING;

    private enum Phase {
        RECEIVING,
        /** Pages may be missing, but nobody can meet them yet. */
        LISTENING,
        /** The VMM was told to run it: from here on the memory is the guest's. */
        HANDED_OVER,
        ABORTED
    }

    ProcessIncomingGuest(ProcessGuest guest) {
        this.guest = guest;
    }

    @Override
    public void machineType(String received, long offset) throws ProtocolException {
        String local = guest.machineType().orElseThrow();
        if (received.isEmpty() || !local.startsWith(received)) {
            throw new ProtocolException("configuration.machine", offset, local, received);
        }
    }

    @Override
    public RamBlock block(String name, long lengthBytes, int pageSizeBytes, long offset) throws ProtocolException {
        RamBlock block = guest.ram().stream()
                .filter(b -> b.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new ProtocolException(
                        "ram.block.name",
                        offset,
                        "one of " + guest.ram().stream().map(RamBlock::name).toList(),
                        name));
        if (block.lengthBytes() != lengthBytes) {
            throw new ProtocolException(
                    "ram.block.length", offset, "%d bytes in %s".formatted(block.lengthBytes(), name), lengthBytes);
        }
        if (pageSizeBytes != 0 && pageSizeBytes != block.pageSizeBytes()) {
            throw new ProtocolException(
                    "ram.block.page-size", offset, "%d in %s".formatted(block.pageSizeBytes(), name), pageSizeBytes);
        }
        announced.add(name);
        return block;
    }

    @Override
    public Optional<List<DeviceFormat>> devices() {
        return Optional.of(guest.devices());
    }

    @Override
    public void prepare(List<DeviceSection> sections) throws GuestException {
        requireAllRam();
        guest.load(guest.layouts().check(guest.name(), sections));
        loaded = sections.size();
    }

    @Override
    public boolean mayRun() {
        return phase == Phase.HANDED_OVER;
    }

    @Override
    public void commit(List<DeviceSection> sections, IncomingState state) throws IOException {
        require("commit", Phase.RECEIVING);
        handOver(sections, state);
    }

    private void handOver(List<DeviceSection> sections, IncomingState state) throws IOException {
        requireComplete(state);
        List<DeviceSection> checked = guest.layouts().check(guest.name(), sections);
        if (loaded != sections.size() || !guest.hasLoaded()) {
            guest.load(checked);
        }
        // Should the reply be lost, the guest may run: from now on its memory must not be touched.
        phase = Phase.HANDED_OVER;
        guest.run(checked, state.runState().equals(RunState.RUNNING.qmpName()));
    }

    private void require(String call, Phase needed) {
        if (phase != needed) {
            throw new IllegalStateException("%s of guest %s in phase %s".formatted(call, guest.name(), phase));
        }
    }

    private void requireComplete(IncomingState state) throws GuestException {
        if (state.targetPageSizeBytes() != guest.targetPageSizeBytes()) {
            throw new GuestException("guest %s has target pages of %d bytes, the stream has %d"
                    .formatted(guest.name(), guest.targetPageSizeBytes(), state.targetPageSizeBytes()));
        }
        requireAllRam();
    }

    private void requireAllRam() throws GuestException {
        List<String> missing = guest.ram().stream()
                .map(RamBlock::name)
                .filter(name -> !announced.contains(name))
                .toList();
        if (!missing.isEmpty()) {
            throw new GuestException("guest %s has RAM that the stream does not: %s".formatted(guest.name(), missing));
        }
    }

    @Override
    public void advisePostcopy() throws IOException {
        Optional<String> refusal = guest.postcopyRefusal();
        if (refusal.isPresent()) {
            throw new GuestException("guest %s cannot arrive by postcopy: %s".formatted(guest.name(), refusal.get()));
        }
    }

    @Override
    public IncomingMemory listen(String session, List<IncomingBlock> blocks) throws IOException {
        require("listen", Phase.RECEIVING);
        requireAllRam();
        phase = Phase.LISTENING;
        return guest.openIncomingMemory(session, blocks);
    }

    @Override
    public void run(List<DeviceSection> sections, IncomingState state) throws IOException {
        require("run", Phase.LISTENING);
        handOver(sections, state);
    }

    @Override
    public void abort() {
        if (phase != Phase.RECEIVING && phase != Phase.LISTENING) {
            return;
        }
        phase = Phase.ABORTED;
        guest.discard();
        try {
            guest.empty();
        } catch (ErrnoException e) {
            log.atError()
                    .addKeyValue("guest", guest.name())
                    .setCause(e)
                    .log("memory of a failed incoming migration was not emptied");
        }
    }
}
