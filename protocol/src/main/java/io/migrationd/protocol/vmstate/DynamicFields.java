package io.migrationd.protocol.vmstate;

/** Makes fields over {@link DynamicState}: each is the member of its own name. */
public final class DynamicFields {
    private DynamicFields() {}

    /** A number. */
    public static VmStateField<DynamicState> scalar(ScalarType type, String name) {
        return array(type, name, Count.fixed(1));
    }

    /** An array of numbers. */
    public static VmStateField<DynamicState> array(ScalarType type, String name, Count<DynamicState> count) {
        return Fields.array(type, name, count, (s, i) -> s.number(name, i), (s, i, v) -> s.set(name, i, v));
    }

    /** Raw bytes; a member that isn't set is zeroes. */
    public static VmStateField<DynamicState> buffer(String name, Count<DynamicState> length) {
        return Fields.buffer(name, length, s -> s.bytes(name), (s, bytes) -> s.set(name, bytes));
    }

    /** A bitmap. */
    public static VmStateField<DynamicState> bitmap(String name, Count<DynamicState> bits) {
        return Fields.bitmap(name, bits, s -> s.bits(name), (s, bits2) -> s.set(name, bits2));
    }

    /** A nested instance. */
    public static VmStateField<DynamicState> struct(String name, VmStateDescription<DynamicState> description) {
        return Fields.struct(name, description, s -> s.child(name));
    }

    /** An array of nested instances. */
    public static VmStateField<DynamicState> structArray(
            String name, Count<DynamicState> count, VmStateDescription<DynamicState> description) {
        return Fields.structArray(name, count, description, (s, i) -> s.child(name, i));
    }

    /** An array of pointers to nested instances that the destination has already; an absent child is NULL. */
    public static VmStateField<DynamicState> pointers(
            String name, Count<DynamicState> count, VmStateDescription<DynamicState> description) {
        return structArray(name, count, description).ofPointers((s, i) -> !s.has(name, i));
    }

    /** An array of pointers to nested instances that loading creates; an absent child is NULL. */
    public static VmStateField<DynamicState> allocatedPointers(
            String name, Count<DynamicState> count, VmStateDescription<DynamicState> description) {
        return structArray(name, count, description)
                .ofAllocatedPointers((s, i) -> !s.has(name, i), (s, i) -> s.remove(name, i));
    }

    /** A linked list. */
    public static VmStateField<DynamicState> tailQueue(String name, VmStateDescription<DynamicState> description) {
        return Fields.tailQueue(name, description, s -> s.list(name), DynamicState::new);
    }

    /** A tree with numbers as keys. */
    public static VmStateField<DynamicState> tree(String name, VmStateDescription<DynamicState> description) {
        return Fields.tree(name, description, s -> s.tree(name), DynamicState::new);
    }

    /** A byte array with its length. */
    public static VmStateField<DynamicState> byteArray(String name, int capacity) {
        return Fields.byteArray(name, capacity, s -> s.bytes(name), (s, bytes) -> s.set(name, bytes));
    }

    /** The value of the number {@code name} as a count, at most {@code capacity}. */
    public static Count<DynamicState> countOf(String name, int capacity) {
        return Count.of(s -> s.number(name), capacity);
    }
}
