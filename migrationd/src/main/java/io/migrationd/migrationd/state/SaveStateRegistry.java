package io.migrationd.migrationd.state;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * The entries of one guest for one migration, in the order in which their sections are visited: by descending priority,
 * then by registration. Not thread-safe.
 *
 * @param <H> the kind of handler
 */
public final class SaveStateRegistry<H> {
    private final List<SaveStateEntry<H>> entries = new ArrayList<>();

    /**
     * Adds an entry behind all of its priority.
     *
     * @throws IllegalArgumentException if name and instance are taken, or a compat name is no part of the full name
     */
    public void register(SaveStateEntry<H> entry) {
        if (entries.stream().anyMatch(e -> e.idstr().equals(entry.idstr()) && e.instanceId() == entry.instanceId())) {
            throw new IllegalArgumentException(
                    "section '%s' instance %d is registered already".formatted(entry.idstr(), entry.instanceId()));
        }
        entry.compat().filter(c -> !entry.idstr().contains(c.idstr())).ifPresent(c -> {
            throw new IllegalArgumentException(
                    "compat name '%s' is no part of '%s'".formatted(c.idstr(), entry.idstr()));
        });
        int at = 0;
        while (at < entries.size() && entries.get(at).priority() >= entry.priority()) {
            at++;
        }
        entries.add(at, entry);
    }

    /** The next free instance id for a name: entries count from 0. */
    public int nextInstanceId(String idstr) {
        return (int) entries.stream().filter(e -> e.idstr().equals(idstr)).count();
    }

    /** All, in the order of their sections. */
    public List<SaveStateEntry<H>> entries() {
        return List.copyOf(entries);
    }

    /** Whom a START or FULL header means: by name and instance or alias, else by compat name. */
    public Optional<SaveStateEntry<H>> find(String idstr, int instanceId) {
        return entries.stream()
                .filter(e -> e.isNamed(idstr, instanceId))
                .findFirst()
                .or(() -> entries.stream()
                        .filter(e -> e.isCompat(idstr, instanceId))
                        .findFirst());
    }
}
