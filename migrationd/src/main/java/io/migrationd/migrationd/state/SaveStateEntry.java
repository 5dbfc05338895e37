package io.migrationd.migrationd.state;

import java.util.Optional;
import java.util.OptionalInt;

/**
 * One thing that a stream can carry. Wire source: QEMU 10.0 migration/savevm.c, SaveStateEntry.
 *
 * @param idstr the name on the wire, with the device path if there is one
 * @param instanceId number among entries of that name
 * @param aliasId another instance id under which a stream may name it; local, never sent
 * @param compat the name and instance id of very old sources, without device path; local, never sent
 * @param version newest that can be loaded, and the one saved
 * @param minimumVersion oldest that can be loaded
 * @param priority higher goes first
 * @param handler who saves or loads it
 * @param <H> the kind of handler
 */
public record SaveStateEntry<H>(
        String idstr,
        int instanceId,
        OptionalInt aliasId,
        Optional<CompatId> compat,
        int version,
        int minimumVersion,
        int priority,
        H handler) {
    /** The default priority. */
    public static final int PRIORITY_DEFAULT = 0;

    /** Registration name without path, and the instance id among these. */
    public record CompatId(String idstr, int instanceId) {}

    /** An entry without alias, compat name or priority. */
    public static <H> SaveStateEntry<H> of(String idstr, int instanceId, int version, int minimumVersion, H handler) {
        return new SaveStateEntry<>(
                idstr,
                instanceId,
                OptionalInt.empty(),
                Optional.empty(),
                version,
                minimumVersion,
                PRIORITY_DEFAULT,
                handler);
    }

    boolean isNamed(String name, int instance) {
        return idstr.equals(name) && (instanceId == instance || isAlias(instance));
    }

    boolean isCompat(String name, int instance) {
        return compat.filter(c -> c.idstr().equals(name) && (c.instanceId() == instance || isAlias(instance)))
                .isPresent();
    }

    private boolean isAlias(int instance) {
        return aliasId.isPresent() && aliasId.getAsInt() == instance;
    }
}
