package io.migrationd.protocol.vmstate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * A state object for descriptions that are only known at run time: members by name and index. A member that was never
 * set is 0, empty or absent. A name is used with one kind of member only. Not thread-safe.
 */
public final class DynamicState {
    private static final long[] NONE = {};

    private record Key(String name, int index) {}

    private final Map<Key, Object> members = new HashMap<>();

    /** A number, 0 if not set. */
    public long number(String name) {
        return number(name, 0);
    }

    /** A number of an array, 0 if not set. */
    public long number(String name, int index) {
        long[] numbers = get(name, 0, long[].class).orElse(NONE);
        return index < numbers.length ? numbers[index] : 0;
    }

    /** Sets a number. */
    public DynamicState set(String name, long value) {
        return set(name, 0, value);
    }

    /** Sets a number of an array. */
    public DynamicState set(String name, int index, long value) {
        long[] numbers = get(name, 0, long[].class).orElse(NONE);
        if (index >= numbers.length) {
            numbers = Arrays.copyOf(numbers, Math.max(index + 1, index + index / 2));
            put(name, 0, numbers);
        }
        numbers[index] = value;
        return this;
    }

    /** Bytes, none if not set. */
    public byte[] bytes(String name) {
        return get(name, 0, byte[].class).orElseGet(() -> new byte[0]);
    }

    /** Sets bytes; they are not copied. */
    public DynamicState set(String name, byte[] value) {
        return put(name, 0, value);
    }

    /** Bits, none if not set. */
    public BitSet bits(String name) {
        return get(name, 0, BitSet.class).orElseGet(BitSet::new);
    }

    /** Sets bits; they are not copied. */
    public DynamicState set(String name, BitSet value) {
        return put(name, 0, value);
    }

    /** A nested state, created if it isn't there. */
    public DynamicState child(String name) {
        return child(name, 0);
    }

    /** A nested state of an array, created if it isn't there. */
    public DynamicState child(String name, int index) {
        return created(name, index, DynamicState.class, DynamicState::new);
    }

    /** A list of nested states, created if it isn't there. */
    public List<DynamicState> list(String name) {
        return created(name, 0, ListMember.class, ListMember::new);
    }

    /** A tree of nested states, created if it isn't there; it keeps the order in which nodes were put. */
    public Map<Long, DynamicState> tree(String name) {
        return created(name, 0, TreeMember.class, TreeMember::new);
    }

    /** Whether a member is set; an array of numbers counts as one member, at 0. */
    public boolean has(String name, int index) {
        return members.containsKey(new Key(name, index));
    }

    /** Unsets a member. */
    public void remove(String name, int index) {
        members.remove(new Key(name, index));
    }

    private DynamicState put(String name, int index, Object value) {
        members.put(new Key(name, index), value);
        return this;
    }

    private <V> Optional<V> get(String name, int index, Class<V> kind) {
        @Nullable Object value = members.get(new Key(name, index));
        return value == null ? Optional.empty() : Optional.of(kind.cast(value));
    }

    private <V> V created(String name, int index, Class<V> kind, Supplier<V> create) {
        return kind.cast(members.computeIfAbsent(new Key(name, index), k -> create.get()));
    }

    private static final class ListMember extends ArrayList<DynamicState> {}

    private static final class TreeMember extends LinkedHashMap<Long, DynamicState> {}
}
