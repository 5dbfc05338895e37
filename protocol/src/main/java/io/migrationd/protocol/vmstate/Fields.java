package io.migrationd.protocol.vmstate;

import java.util.Arrays;
import java.util.BitSet;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import java.util.function.Function;
import java.util.function.ObjLongConsumer;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;

/**
 * Makes the fields of a description. An array, whatever its storage, is a count and accessors by index: sub-arrays,
 * matrices and allocated arrays look the same on the wire. Wire source: QEMU 10.0 include/migration/vmstate.h,
 * migration/vmstate-types.c.
 */
public final class Fields {
    /** Reads the number at an index. */
    @FunctionalInterface
    public interface LongAt<T> {
        /** The number. */
        long get(T state, int index);
    }

    /** Stores a number at an index. */
    @FunctionalInterface
    public interface SetLongAt<T> {
        /** Stores it. */
        void set(T state, int index, long value);
    }

    /** Reads the member at an index. */
    @FunctionalInterface
    public interface At<T, S> {
        /** The member. */
        S get(T state, int index);
    }

    /** Stores a member at an index. */
    @FunctionalInterface
    public interface SetAt<T, S> {
        /** Stores it. */
        void set(T state, int index, S value);
    }

    private Fields() {}

    private static <T> VmStateField<T> single(String name, Element<T> element) {
        return new VmStateField<>(name, element, Count.fixed(1));
    }

    /** A number; see {@link ScalarType} for how it looks as a {@code long}. */
    public static <T> VmStateField<T> scalar(
            ScalarType type, String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return single(
                name,
                new ScalarElement<>(type, (s, i) -> getter.applyAsLong(s), (s, i, value) -> setter.accept(s, value)));
    }

    /** An array of numbers. */
    public static <T> VmStateField<T> array(
            ScalarType type, String name, Count<T> count, LongAt<T> getter, SetLongAt<T> setter) {
        return new VmStateField<>(name, new ScalarElement<>(type, getter, setter), count);
    }

    /** {@code uint8}. */
    public static <T> VmStateField<T> u8(String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return scalar(ScalarType.UINT8, name, getter, setter);
    }

    /** {@code uint16}. */
    public static <T> VmStateField<T> u16(String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return scalar(ScalarType.UINT16, name, getter, setter);
    }

    /** {@code uint32}. */
    public static <T> VmStateField<T> u32(String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return scalar(ScalarType.UINT32, name, getter, setter);
    }

    /** {@code uint64}. */
    public static <T> VmStateField<T> u64(String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return scalar(ScalarType.UINT64, name, getter, setter);
    }

    /** {@code int32}. */
    public static <T> VmStateField<T> i32(String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return scalar(ScalarType.INT32, name, getter, setter);
    }

    /** {@code int64}. */
    public static <T> VmStateField<T> i64(String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return scalar(ScalarType.INT64, name, getter, setter);
    }

    /** {@code bool}. */
    public static <T> VmStateField<T> bool(String name, Predicate<T> getter, BiConsumer<T, Boolean> setter) {
        return scalar(ScalarType.BOOL, name, s -> getter.test(s) ? 1 : 0, (s, value) -> setter.accept(s, value != 0));
    }

    /** {@code timer}: expiry in ns, -1 when not armed. */
    public static <T> VmStateField<T> timer(String name, ToLongFunction<T> getter, ObjLongConsumer<T> setter) {
        return scalar(ScalarType.TIMER, name, getter, setter);
    }

    /**
     * Raw bytes, as many as {@code length} says. The getter may return more: the first ones are written. The setter
     * gets exactly as many; whether it keeps or copies them is its own business.
     */
    public static <T> VmStateField<T> buffer(
            String name, Count<T> length, Function<T, byte[]> getter, BiConsumer<T, byte[]> setter) {
        return single(
                name,
                new ByteElements.Buffer<>(
                        name, length, (s, i) -> getter.apply(s), (s, i, bytes) -> setter.accept(s, bytes)));
    }

    /** {@code length} bytes from {@code start} on of an array that the state has. */
    public static <T> VmStateField<T> partialBuffer(String name, int start, int length, Function<T, byte[]> array) {
        return buffer(
                name,
                Count.fixed(length),
                s -> Arrays.copyOfRange(array.apply(s), start, start + length),
                (s, bytes) -> System.arraycopy(bytes, 0, array.apply(s), start, length));
    }

    /** Padding: written as zeroes, ignored when read. */
    public static <T> VmStateField<T> unused(String name, Count<T> length) {
        return single(name, new ByteElements.Unused<>(name, length));
    }

    /** A bitmap of as many bits as another member says. */
    public static <T> VmStateField<T> bitmap(
            String name, Count<T> bits, Function<T, BitSet> getter, BiConsumer<T, BitSet> setter) {
        return single(
                name,
                new ByteElements.Bitmap<>(name, bits, (s, i) -> getter.apply(s), (s, i, set) -> setter.accept(s, set)));
    }

    /** {@code GByteArray}: be32 length and bytes; versions from 11.0 on. */
    public static <T> VmStateField<T> byteArray(
            String name, int capacity, Function<T, byte[]> getter, BiConsumer<T, byte[]> setter) {
        return single(
                name,
                new ByteElements.ByteArray<>(
                        name, capacity, (s, i) -> getter.apply(s), (s, i, bytes) -> setter.accept(s, bytes)));
    }

    /** Counted strings; the configuration section lists capabilities so. */
    public static <T> VmStateField<T> capabilities(
            String name, Count<T> count, At<T, String> getter, SetAt<T, String> setter) {
        return new VmStateField<>(name, new ByteElements.Capability<>(getter, setter), count);
    }

    /** The byte that carries a file descriptor on a CPR channel. */
    public static <T> VmStateField<T> descriptorPlace(String name) {
        return single(name, new ByteElements.DescriptorPlace<>());
    }

    /** A nested instance. */
    public static <T, S> VmStateField<T> struct(String name, VmStateDescription<S> description, Function<T, S> at) {
        return single(name, new NestedElements.Struct<>(description, (s, i) -> at.apply(s)));
    }

    /** An array of nested instances. */
    public static <T, S> VmStateField<T> structArray(
            String name, Count<T> count, VmStateDescription<S> description, At<T, S> at) {
        return new VmStateField<>(name, new NestedElements.Struct<>(description, at), count);
    }

    /** A nested instance that is always written in {@code version} of its description. */
    public static <T, S> VmStateField<T> versionedStruct(
            String name, VmStateDescription<S> description, int version, Function<T, S> at) {
        return single(name, new NestedElements.VersionedStruct<>(description, version, (s, i) -> at.apply(s)));
    }

    /**
     * An instance of a temporary object: {@code create} makes it around the state; its pre-save hook fills it, its
     * post-load hook carries it over.
     */
    public static <T, S> VmStateField<T> temporary(
            String name, VmStateDescription<S> description, Function<T, S> create) {
        return single(name, new NestedElements.Temporary<>(description, create));
    }

    /** {@code qtailq}: loading appends to the state's list. */
    public static <T, S> VmStateField<T> tailQueue(
            String name, VmStateDescription<S> description, Function<T, List<S>> elements, Supplier<S> create) {
        return single(name, new NestedElements.Sequence<>("qtailq", description, elements, create));
    }

    /** {@code qlist}: loading appends to the state's list. */
    public static <T, S> VmStateField<T> list(
            String name, VmStateDescription<S> description, Function<T, List<S>> elements, Supplier<S> create) {
        return single(name, new NestedElements.Sequence<>("qlist", description, elements, create));
    }

    /** {@code gtree} with numbers as keys; nodes are written in the map's order. */
    public static <T, V> VmStateField<T> tree(
            String name, VmStateDescription<V> description, Function<T, Map<Long, V>> nodes, Supplier<V> create) {
        return single(name, new NestedElements.Tree<>(new NestedElements.NumberKey(), description, nodes, create));
    }

    /** {@code gtree} with described keys; nodes are written in the map's order. */
    public static <T, K, V> VmStateField<T> tree(
            String name,
            VmStateDescription<K> keyDescription,
            Supplier<K> createKey,
            VmStateDescription<V> description,
            Function<T, Map<K, V>> nodes,
            Supplier<V> create) {
        return single(
                name,
                new NestedElements.Tree<>(
                        new NestedElements.DescribedKey<>(keyDescription, createKey), description, nodes, create));
    }

    /** A member with a hand-written encoding. */
    public static <T> VmStateField<T> custom(String name, ElementCodec<T> codec) {
        return single(name, new OtherElements.Custom<>(codec));
    }

    /** A check of what is loaded so far; it has no wire image. */
    public static <T> VmStateField<T> validation(String name, Predicate<T> test) {
        return single(name, new OtherElements.Validation<>(name, test));
    }
}
