package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.parked.ParkedGuest;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.protocol.ram.BlockListEntry;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Optional;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The memory of a paused source, as far as it was drained, and the kept parts of its stream. It lives in a directory of
 * its own: {@code kept.parts}, {@code boot-id}, and {@code guest/}, a parked guest without devices. It is no guest that
 * anybody may start: only a rescue knows whether and how it goes on. Thread-safe; one rescue uses it at a time.
 */
public final class DrainedCopy implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(DrainedCopy.class);
    private static final String KEPT = "kept.parts";
    private static final String BOOT = "boot-id";
    private static final String GUEST = "guest";
    private static final Path BOOT_ID = Path.of("/proc/sys/kernel/random/boot_id");

    private final String name;
    private final Path directory;
    private final KeptStream stream;
    // Guarded by this.
    private final ParkedGuest guest;
    private @Nullable String user;
    private boolean closed;

    /** How far a copy is. */
    public enum State {
        /** Pages are missing. */
        PARTIAL,
        /** Every page is here, on stable storage. */
        COMPLETE,
        /** A destination has it: it is of no use any more. */
        USED
    }

    private DrainedCopy(String name, Path directory, KeptStream stream, ParkedGuest guest) {
        this.name = name;
        this.directory = directory;
        this.stream = stream;
        this.guest = guest;
    }

    /**
     * A new copy without a page. The directory must not hold one; it is made if it is not there.
     *
     * @param name for messages and events
     * @param budget from which the RAM is taken
     * @throws IOException if the parts are not those of a stream that can be rescued, or there is no room
     */
    public static DrainedCopy create(String name, Path directory, KeptParts parts, RamBudget budget)
            throws IOException {
        KeptStream stream = KeptStream.parse(parts);
        Files.createDirectories(directory);
        if (Files.exists(directory.resolve(KEPT))) {
            throw new IOException(directory + " holds a drained copy already");
        }
        ParkedGuest guest = emptyGuest(name, directory, stream, budget);
        try {
            // Last: without this file there is no copy.
            KeptPartsFile.write(directory.resolve(KEPT), parts);
        } catch (IOException e) {
            guest.close();
            throw e;
        }
        return new DrainedCopy(name, directory, stream, guest);
    }

    /**
     * What an earlier process has left. Pages of a copy that is not complete are kept as long as the host has not been
     * started again: then nobody knows which of them reached the disk, and they are drained once more.
     */
    public static DrainedCopy open(String name, Path directory, RamBudget budget) throws IOException {
        KeptStream stream = KeptStream.parse(KeptPartsFile.read(directory.resolve(KEPT)));
        ParkedGuest found = ParkedGuest.open(name, directory.resolve(GUEST), budget);
        if (!found.holdsIncoming() || isOfThisBoot(directory)) {
            return new DrainedCopy(name, directory, stream, found);
        }
        log.atWarn().addKeyValue("guest", name).log("the host was started again: what was drained before is dropped");
        found.delete();
        return new DrainedCopy(name, directory, stream, emptyGuest(name, directory, stream, budget));
    }

    private static ParkedGuest emptyGuest(String name, Path directory, KeptStream stream, RamBudget budget)
            throws IOException {
        Files.writeString(directory.resolve(BOOT), bootId(), StandardCharsets.US_ASCII, StandardOpenOption.CREATE);
        Path home = directory.resolve(GUEST);
        if (Files.exists(home)) {
            // Left by a process that was killed while it made a copy.
            ParkedGuest.open(name, home, budget).delete();
        }
        ParkedGuest guest = ParkedGuest.create(name, home, budget);
        IncomingGuest receiving = guest.beginIncoming();
        try {
            receiving.machineType(stream.configuration().machineType(), 0);
            for (BlockListEntry block : stream.blocks()) {
                receiving.block(
                        block.name(), block.lengthBytes(), Math.toIntExact(block.pageSizeBytes()), block.offset());
            }
            receiving.run(
                    List.of(),
                    new IncomingState("paused", stream.configuration().uuid(), stream.pageSizeBytes(), ""));
            return guest;
        } catch (IOException | RuntimeException e) {
            receiving.abort();
            guest.close();
            throw e;
        }
    }

    private static boolean isOfThisBoot(Path directory) throws IOException {
        Path recorded = directory.resolve(BOOT);
        return Files.exists(recorded)
                && Files.readString(recorded, StandardCharsets.US_ASCII).equals(bootId());
    }

    private static String bootId() throws IOException {
        return Files.readString(BOOT_ID, StandardCharsets.US_ASCII);
    }

    /** Its guest's name. */
    public String name() {
        return name;
    }

    /** How far it is. */
    public State state() {
        if (guest.holdsIncoming()) {
            return State.PARTIAL;
        }
        return guest.runState() == RunState.PAUSED ? State.COMPLETE : State.USED;
    }

    /** Bytes of RAM of the guest. */
    public long totalBytes() {
        return stream.totalBytes();
    }

    /** The machine type that a QEMU needs to take it. */
    public String machineType() {
        return stream.configuration().machineType();
    }

    /** Whether the package was kept, without which a dead destination cannot be replaced. */
    public boolean hasPackage() {
        return stream.devices().length > 0;
    }

    int pageSizeBytes() {
        return stream.pageSizeBytes();
    }

    KeptStream stream() {
        return stream;
    }

    ParkedGuest guest() {
        return guest;
    }

    /** One rescue at a time: {@code rescue} is in the messages. */
    synchronized void claim(String rescue, State needed) throws RescueRefusedException {
        if (closed) {
            throw new RescueRefusedException("the copy of '%s' is closed".formatted(name));
        }
        if (user != null) {
            throw new RescueRefusedException("the copy of '%s' is in use: %s".formatted(name, user));
        }
        if (state() != needed) {
            throw new RescueRefusedException(
                    "%s: the copy of '%s' is %s, it must be %s".formatted(rescue, name, word(state()), word(needed)));
        }
        user = rescue;
    }

    private static String word(State state) {
        return switch (state) {
            case PARTIAL -> "not complete";
            case COMPLETE -> "complete";
            case USED -> "at a destination already";
        };
    }

    synchronized void release() {
        user = null;
    }

    /** Who uses it. */
    synchronized Optional<String> user() {
        return Optional.ofNullable(user);
    }

    /** Deletes it from the disk. Refused while a rescue uses it. */
    public void delete() throws IOException {
        synchronized (this) {
            if (user != null) {
                throw new RescueRefusedException("the copy of '%s' is in use: %s".formatted(name, user));
            }
            closed = true;
        }
        // First: without this file the rest is a leftover.
        Files.deleteIfExists(directory.resolve(KEPT));
        guest.delete();
        Files.deleteIfExists(directory.resolve(BOOT));
        Files.deleteIfExists(directory);
    }

    /** Closes the files. A rescue that uses it must be closed before. */
    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            guest.close();
        }
    }
}
