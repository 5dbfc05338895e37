package io.migrationd.protocol.vmstate;

import java.util.Optional;
import java.util.function.ObjIntConsumer;

/**
 * One entry of a description: a name, an element encoding, how many elements there are and when the entry exists at
 * all. Made by {@link Fields}. Wire source: QEMU 10.0 include/migration/vmstate.h, {@code VMStateField}.
 *
 * @param <T> the state object that the description is about
 */
public final class VmStateField<T> {
    /** Whether a field exists, given what is loaded so far and the version in force. */
    @FunctionalInterface
    public interface Presence<T> {
        /** True if the field is there. */
        boolean test(T state, int version);
    }

    /** Whether element {@code index} of an array of pointers is NULL. */
    @FunctionalInterface
    public interface Nullness<T> {
        /** True if there is no such element. */
        boolean isNull(T state, int index);
    }

    /** What stands before the elements of an array of pointers. */
    enum Markers {
        /** Nothing: not an array of pointers. */
        NONE,
        /** A marker instead of each NULL element. */
        FOR_NULL,
        /** A marker before every element. */
        ALWAYS
    }

    private final String name;
    private final Element<T> element;
    private final Count<T> count;
    private final int version;
    private final Optional<Presence<T>> presence;
    private final Markers markers;
    private final Nullness<T> nullness;
    private final ObjIntConsumer<T> clear;

    VmStateField(String name, Element<T> element, Count<T> count) {
        this(name, element, count, 0, Optional.empty(), Markers.NONE, (s, i) -> false, (s, i) -> {});
    }

    private VmStateField(
            String name,
            Element<T> element,
            Count<T> count,
            int version,
            Optional<Presence<T>> presence,
            Markers markers,
            Nullness<T> nullness,
            ObjIntConsumer<T> clear) {
        this.name = name;
        this.element = element;
        this.count = count;
        this.version = version;
        this.presence = presence;
        this.markers = markers;
        this.nullness = nullness;
        this.clear = clear;
    }

    /** The same field, there only if the version in force is at least {@code firstVersion}. */
    public VmStateField<T> since(int firstVersion) {
        return new VmStateField<>(name, element, count, firstVersion, presence, markers, nullness, clear);
    }

    /** The same field, there only if {@code test} says so; the field's version then doesn't matter. */
    public VmStateField<T> when(Presence<T> test) {
        return new VmStateField<>(name, element, count, version, Optional.of(test), markers, nullness, clear);
    }

    /**
     * The same field as an array of pointers: a NULL element is the byte {@code 0x30}. The destination knows from its
     * own pointers which elements to expect.
     */
    public VmStateField<T> ofPointers(Nullness<T> test) {
        return new VmStateField<>(name, element, count, version, presence, Markers.FOR_NULL, test, clear);
    }

    /**
     * The same field as an array of pointers that the destination allocates: every element has a marker before it. Only
     * versions of 2026. {@code setNull} clears an element; loading any other element creates it.
     */
    public VmStateField<T> ofAllocatedPointers(Nullness<T> test, ObjIntConsumer<T> setNull) {
        return new VmStateField<>(name, element, count, version, presence, Markers.ALWAYS, test, setNull);
    }

    /** The name in descriptions; need not be unique. */
    public String name() {
        return name;
    }

    /** First version that has the field. */
    public int version() {
        return version;
    }

    boolean hasPresenceTest() {
        return presence.isPresent();
    }

    boolean exists(T state, int versionInForce) {
        return presence.map(p -> p.test(state, versionInForce)).orElse(version <= versionInForce);
    }

    Element<T> element() {
        return element;
    }

    Count<T> count() {
        return count;
    }

    Markers markers() {
        return markers;
    }

    boolean isNull(T state, int index) {
        return markers != Markers.NONE && nullness.isNull(state, index);
    }

    void clear(T state, int index) {
        clear.accept(state, index);
    }

    /** All elements have one layout, so that a description may show the first for all. */
    boolean isUniform() {
        return !hasPresenceTest() && markers != Markers.ALWAYS && element.isUniform();
    }
}
