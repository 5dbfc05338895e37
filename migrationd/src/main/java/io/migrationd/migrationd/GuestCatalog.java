package io.migrationd.migrationd;

import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.control.GuestDirectory;
import io.migrationd.migrationd.control.GuestOperations;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.parked.ParkedGuest;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.guest.process.GuestRegistry;
import io.migrationd.migrationd.guest.process.ProcessGuest;
import io.migrationd.migrationd.session.Failures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.TreeMap;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The guests of this host: process guests as they attach, parked ones from the state directory. Thread-safe. */
final class GuestCatalog implements GuestDirectory, GuestRegistry, AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(GuestCatalog.class);
    private final Path parkedDirectory;
    private final RamBudget budget;
    private final GuestServices services;
    private final int maxGuests;
    // Guarded by this.
    private final TreeMap<String, ManagedGuest> guests = new TreeMap<>();
    private Consumer<String> added = name -> {};
    private Consumer<String> removed = name -> {};
    private Consumer<ProcessGuest> forgotten = guest -> {};

    GuestCatalog(Path parkedDirectory, RamBudget budget, GuestServices services, int maxGuests) {
        this.parkedDirectory = parkedDirectory;
        this.budget = budget;
        this.services = services;
        this.maxGuests = maxGuests;
    }

    /** Who is told of guests that come and go: the control server, and the listener of a guest that is forgotten. */
    synchronized void onChange(
            Consumer<String> whenAdded, Consumer<String> whenRemoved, Consumer<ProcessGuest> whenForgotten) {
        added = whenAdded;
        removed = whenRemoved;
        forgotten = whenForgotten;
        guests.keySet().forEach(added);
    }

    /** Opens what an earlier daemon has left. A guest that can't be opened is left alone and named in the log. */
    synchronized void loadParked() throws IOException {
        Files.createDirectories(parkedDirectory);
        try (Stream<Path> directories = Files.list(parkedDirectory)) {
            for (Path directory :
                    directories.filter(Files::isDirectory).sorted().toList()) {
                String name = String.valueOf(directory.getFileName());
                try {
                    ManagedGuest managed = new ManagedGuest(ParkedGuest.open(name, directory, budget), services);
                    guests.put(name, managed);
                    managed.goOnAfterRestart();
                } catch (IOException | RuntimeException e) {
                    log.atError()
                            .addKeyValue("guest", name)
                            .addKeyValue("path", directory)
                            .setCause(e)
                            .log("parked guest not opened; its files are left as they are");
                }
            }
        }
    }

    @Override
    public synchronized List<GuestOperations> guests() {
        return List.copyOf(guests.values());
    }

    synchronized long count(GuestKind kind) {
        return guests.values().stream().filter(g -> g.guest().kind() == kind).count();
    }

    @Override
    public synchronized Optional<GuestOperations> find(String name) {
        return Optional.ofNullable(guests.get(name));
    }

    @Override
    public GuestOperations createParked(String name) throws CommandException {
        ManagedGuest created;
        synchronized (this) {
            refuseName(name);
            try {
                created = new ManagedGuest(ParkedGuest.create(name, parkedDirectory.resolve(name), budget), services);
            } catch (IOException e) {
                throw new CommandException(
                        "parked guest '%s' not created: %s".formatted(name, Failures.describe(e)), e);
            }
            guests.put(name, created);
            added.accept(name);
        }
        log.atInfo().addKeyValue("guest", name).log("parked guest created");
        return created;
    }

    private void refuseName(String name) throws CommandException {
        if (!GuestDirectory.isName(name)) {
            throw new CommandException(
                    "'%s' is no guest name: 1 to 64 of A-Z a-z 0-9 . _ - without a leading dot".formatted(name));
        }
        if (guests.containsKey(name)) {
            throw new CommandException("guest '%s' exists already".formatted(name));
        }
        if (guests.size() >= maxGuests) {
            throw new CommandException(
                    "this host has %d guests, limits.max-guests allows no more".formatted(maxGuests));
        }
    }

    @Override
    public void remove(String name) throws CommandException {
        // Outside the lock: it may wait for an engine that is letting go.
        managed(name).refuseIfMigrating();
        synchronized (this) {
            ManagedGuest managed = managed(name);
            if (managed.isMigrating()) {
                throw new CommandException("There's a migration process in progress");
            }
            try {
                discard(managed.guest());
            } catch (IOException e) {
                throw new CommandException("guest '%s' not removed: %s".formatted(name, Failures.describe(e)), e);
            }
            guests.remove(name);
            removed.accept(name);
        }
        log.atInfo().addKeyValue("guest", name).log("guest removed");
    }

    private synchronized ManagedGuest managed(String name) throws CommandException {
        ManagedGuest managed = guests.get(name);
        if (managed == null) {
            throw new CommandException(
                    CommandException.ErrorClass.DEVICE_NOT_FOUND, "guest '%s' not found".formatted(name));
        }
        return managed;
    }

    private void discard(Guest guest) throws CommandException, IOException {
        switch (guest) {
            case ParkedGuest parked -> {
                parked.delete();
                services.ownership().forget(parked);
                services.migrations().remove(parked.name());
            }
            case ProcessGuest process
            when process.runState() != RunState.SHUTDOWN ->
                throw new CommandException(
                        "guest '%s' still has its process %d".formatted(process.name(), process.pid()));
            case ProcessGuest process -> {
                services.migrations().remove(process.name());
                forgotten.accept(process);
                process.close();
            }
            default -> throw new IllegalStateException("a guest of kind " + guest.kind());
        }
    }

    @Override
    public synchronized Optional<String> refusal(String name) {
        if (!GuestDirectory.isName(name)) {
            return Optional.of("'%s' is no guest name".formatted(name));
        }
        ManagedGuest other = guests.get(name);
        if (other != null && other.isMigrating()) {
            // Its memory is in use until the migration has ended, even if its process is gone.
            return Optional.of("guest '%s' is being migrated".formatted(name));
        }
        if (other != null && other.guest() instanceof ProcessGuest process && !process.isAttached()) {
            return Optional.empty();
        }
        if (other != null) {
            return Optional.of("guest '%s' exists already".formatted(name));
        }
        return guests.size() >= maxGuests
                ? Optional.of("this host has %d guests, no more are allowed".formatted(maxGuests))
                : Optional.empty();
    }

    @Override
    @SuppressWarnings("ReferenceEquality") // The same object comes back when a guest attaches again.
    public synchronized void attached(ProcessGuest guest) {
        ManagedGuest known = guests.get(guest.name());
        if (known != null && known.guest() == guest) {
            log.atInfo().addKeyValue("guest", guest.name()).log("guest is back");
            known.goOnAfterRestart();
            return;
        }
        if (known != null) {
            known.close();
            removed.accept(guest.name());
        }
        ManagedGuest managed = new ManagedGuest(guest, services);
        guests.put(guest.name(), managed);
        added.accept(guest.name());
        managed.goOnAfterRestart();
    }

    @Override
    public void detached(ProcessGuest guest) {
        log.atWarn()
                .addKeyValue("guest", guest.name())
                .addKeyValue("pid", guest.pid())
                .log("guest detached");
    }

    /** Ends every migration: those that can, with the guest where it was. */
    void stopEngines() {
        List<ManagedGuest> all;
        synchronized (this) {
            all = new ArrayList<>(guests.values());
        }
        all.forEach(ManagedGuest::close);
    }

    @Override
    public void close() {
        stopEngines();
        synchronized (this) {
            for (ManagedGuest managed : guests.values()) {
                if (managed.guest() instanceof ParkedGuest parked) {
                    parked.close();
                }
            }
        }
    }
}
