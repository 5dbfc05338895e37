package io.migrationd.migrationd.guest.parked;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.PresentPages;
import io.migrationd.postcopy.StoredIncomingMemory;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.RamBlock;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * RAM and device sections of a guest that no process runs. It lives in a directory of its own: {@code ram/} has one
 * sparse file per block, {@code guest.json} the rest. Thread-safe.
 */
public final class ParkedGuest implements Guest, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ParkedGuest.class);

    private final String name;
    private final Path directory;
    private final RamBudget budget;
    // Guarded by this.
    private ParkedRecord record;
    private List<ParkedBlock> blocks = List.of();
    private boolean receiving;

    private ParkedGuest(String name, Path directory, RamBudget budget, ParkedRecord record) {
        this.name = name;
        this.directory = directory;
        this.budget = budget;
        this.record = record;
    }

    /** Makes the directory of a guest that holds nothing yet. */
    public static ParkedGuest create(String name, Path directory, RamBudget budget) throws IOException {
        Files.createDirectories(directory);
        ParkedRecord record = ParkedRecord.empty();
        record.write(directory);
        return new ParkedGuest(name, directory, budget, record);
    }

    /**
     * Opens what an earlier daemon has left. What was half received is thrown away, unless its source has given it away
     * already: that is kept, for {@link #reopenIncoming}.
     */
    public static ParkedGuest open(String name, Path directory, RamBudget budget) throws IOException {
        ParkedRecord record = ParkedRecord.read(directory);
        ParkedGuest guest = new ParkedGuest(name, directory, budget, record);
        if (record.state().equals(ParkedRecord.EMPTY)) {
            guest.deleteRam();
        } else {
            guest.openBlocks();
        }
        return guest;
    }

    private synchronized void openBlocks() throws IOException {
        List<ParkedBlock> opened = new ArrayList<>();
        try {
            for (ParkedRecord.Block block : record.blocks()) {
                opened.add(ParkedBlock.open(ramDirectory(), block, name));
            }
        } catch (IOException e) {
            opened.forEach(ParkedBlock::close);
            throw e;
        }
        opened.forEach(block -> budget.account(block.lengthBytes()));
        blocks = List.copyOf(opened);
    }

    Path ramDirectory() {
        return directory.resolve("ram");
    }

    RamBudget budget() {
        return budget;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public GuestKind kind() {
        return GuestKind.PARKED;
    }

    @Override
    public synchronized Optional<UUID> uuid() {
        return Optional.ofNullable(record.uuid()).map(UUID::fromString);
    }

    @Override
    public synchronized Optional<String> machineType() {
        return Optional.ofNullable(record.machineType());
    }

    @Override
    public synchronized int targetPageSizeBytes() {
        return record.targetPageSizeBytes();
    }

    @Override
    public synchronized List<RamBlock> ram() {
        return List.copyOf(blocks);
    }

    @Override
    public synchronized RunState runState() {
        return switch (record.state()) {
            case ParkedRecord.COMPLETE -> RunState.PAUSED;
            case ParkedRecord.MIGRATED -> RunState.POSTMIGRATE;
            default -> RunState.INMIGRATE;
        };
    }

    @Override
    public RunState stateToAnnounce() {
        // The globalstate section of the stream it came by is among its devices and goes out again as it is.
        return RunState.PAUSED;
    }

    @Override
    public DirtyLog openDirtyLog() {
        return DirtyLog.ofStoppedGuest();
    }

    @Override
    public void stopForSwitchover() {
        // It never runs.
    }

    @Override
    public void resumeAfterFailure() {
        // It never ran.
    }

    @Override
    public synchronized void releaseAfterMigration() {
        try {
            record = record.with(ParkedRecord.MIGRATED);
            record.write(directory);
        } catch (IOException e) {
            // The ownership record was written before; this one only makes the state visible after a restart.
            log.atWarn().addKeyValue("guest", name).setCause(e).log("migrated state not recorded");
        }
    }

    @Override
    public synchronized List<DeviceSection> saveDevices() {
        return record.devices();
    }

    /** Whether the guest is here and its RAM is not: {@link #reopenIncoming} goes on with it. */
    @Override
    public synchronized boolean holdsIncoming() {
        return record.state().equals(ParkedRecord.RECEIVING);
    }

    @Override
    public synchronized IncomingMemory reopenIncoming(String session) throws IOException {
        if (!holdsIncoming()) {
            throw new GuestException(
                    "parked guest '%s' is %s: it does not wait for memory".formatted(name, record.state()));
        }
        List<IncomingBlock> incoming = new ArrayList<>();
        for (ParkedBlock block : blocks) {
            IncomingBlock reopened = new IncomingBlock(block, record.targetPageSizeBytes());
            PresentPages.mark(reopened);
            incoming.add(reopened);
        }
        return StoredIncomingMemory.of(incoming);
    }

    @Override
    public synchronized void completeIncoming() throws IOException {
        if (!holdsIncoming()) {
            return;
        }
        for (ParkedBlock block : blocks) {
            block.sync();
        }
        ParkedRecord complete = record.with(ParkedRecord.COMPLETE);
        complete.write(directory);
        record = complete;
    }

    @Override
    public synchronized IncomingGuest beginIncoming() throws GuestException {
        if (receiving || !record.state().equals(ParkedRecord.EMPTY)) {
            throw new GuestException("parked guest '%s' %s".formatted(name, occupation()));
        }
        receiving = true;
        return new ParkedReceiver(this);
    }

    private String occupation() {
        if (holdsIncoming()) {
            return "is here already, and waits for the rest of its memory";
        }
        return receiving ? "is being received already" : "holds a guest already";
    }

    synchronized void received(ParkedRecord complete, List<ParkedBlock> withBlocks) throws IOException {
        complete.write(directory);
        record = complete;
        blocks = List.copyOf(withBlocks);
        receiving = false;
    }

    synchronized void notReceived() {
        receiving = false;
        try {
            // The record may have been replaced just before something failed: it must not outlive the RAM.
            record.write(directory);
        } catch (IOException e) {
            log.atWarn().addKeyValue("guest", name).setCause(e).log("empty state not recorded");
        }
        deleteRam();
    }

    /** Deletes everything. The guest must not be used any more. */
    public synchronized void delete() throws IOException {
        close();
        deleteRam();
        Files.deleteIfExists(directory.resolve(ParkedRecord.FILE));
        Files.deleteIfExists(directory);
    }

    private void deleteRam() {
        if (!Files.isDirectory(ramDirectory())) {
            return;
        }
        try (Stream<Path> files = Files.walk(ramDirectory())) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        } catch (IOException | UncheckedIOException e) {
            log.atWarn()
                    .addKeyValue("guest", name)
                    .addKeyValue("path", ramDirectory())
                    .setCause(e)
                    .log("leftover RAM not removed");
        }
    }

    @Override
    public synchronized void close() {
        for (ParkedBlock block : blocks) {
            block.close();
            budget.release(block.lengthBytes());
        }
        blocks = List.of();
    }

    static String fileName(String blockName) {
        StringBuilder encoded = new StringBuilder();
        for (int i = 0; i < blockName.length(); i++) {
            char c = blockName.charAt(i);
            boolean plain = c < 128 && (Character.isLetterOrDigit(c) || c == '-' || c == '_');
            boolean dot = c == '.' && !encoded.isEmpty();
            encoded.append(plain || dot ? String.valueOf(c) : "%%%02X".formatted((int) c));
        }
        return encoded.toString();
    }
}
