package io.migrationd.migrationd.control;

import java.util.List;
import java.util.Optional;

/** The guests of this host, as the control socket sees them. Calls may come from any thread. */
public interface GuestDirectory {
    /** All guests, by name. */
    List<GuestOperations> guests();

    /** The guest of that name. */
    Optional<GuestOperations> find(String name);

    /**
     * Creates an empty parked guest that waits for an incoming migration.
     *
     * @throws CommandException if the name is taken or not a name (1 to 64 of {@code [A-Za-z0-9._-]}, no leading dot)
     */
    GuestOperations createParked(String name) throws CommandException;

    /**
     * Forgets a parked guest and deletes its files, or a process guest whose process is gone.
     *
     * @throws CommandException if it is unknown, migrating, or another kind that still runs
     */
    void remove(String name) throws CommandException;
}
