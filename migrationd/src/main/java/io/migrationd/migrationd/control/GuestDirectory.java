package io.migrationd.migrationd.control;

import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/** The guests of this host, as the control socket sees them. Calls may come from any thread. */
public interface GuestDirectory {
    /** What {@link #isName} accepts. */
    Pattern NAME = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}");

    /** Whether it may name a guest: 1 to 64 of {@code [A-Za-z0-9._-]}, no leading dot. Such a name is a file name. */
    static boolean isName(String name) {
        return NAME.matcher(name).matches();
    }

    /** All guests, by name. */
    List<GuestOperations> guests();

    /** The guest of that name. */
    Optional<GuestOperations> find(String name);

    /**
     * Creates an empty parked guest that waits for an incoming migration.
     *
     * @throws CommandException if the name is taken or not a name by {@link #isName}
     */
    GuestOperations createParked(String name) throws CommandException;

    /**
     * Forgets a parked guest and deletes its files, or a process guest whose process is gone.
     *
     * @throws CommandException if it is unknown, migrating, or another kind that still runs
     */
    void remove(String name) throws CommandException;
}
