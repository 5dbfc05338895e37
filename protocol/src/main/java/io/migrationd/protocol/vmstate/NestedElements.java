package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.vmstate.Fields.At;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;
import java.util.function.Supplier;

/** Elements that run a description of their own. */
final class NestedElements {
    private static final int ELEMENT_FOLLOWS = 1;
    private static final int NO_MORE = 0;

    private NestedElements() {}

    private static long nominal(VmStateDescription<?> description) {
        return description.fields().stream().mapToLong(NestedElements::nominal).sum();
    }

    private static long nominal(VmStateField<?> field) {
        long count = field.count() instanceof Count.Fixed<?>(int fixed) ? fixed : 1;
        return count * field.element().nominalSizeBytes();
    }

    /** A nested instance in its description's own version, subsections included. */
    record Struct<T, S>(VmStateDescription<S> description, At<T, S> at) implements Element<T> {
        @Override
        public String typeName() {
            return "struct";
        }

        @Override
        public long nominalSizeBytes() {
            return nominal(description);
        }

        @Override
        public Optional<VmStateDescription<?>> nested() {
            return Optional.of(description);
        }

        @Override
        public boolean isStruct() {
            return true;
        }

        @Override
        public boolean isUniform() {
            return description.isUniform();
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            VmStateCodec.save(description, at.get(state, index), description.version(), to);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            VmStateCodec.load(description, at.get(state, index), description.version(), in);
        }
    }

    /** A nested instance in a version that the field fixes. */
    record VersionedStruct<T, S>(VmStateDescription<S> description, int version, At<T, S> at) implements Element<T> {
        @Override
        public String typeName() {
            return "vstruct";
        }

        @Override
        public long nominalSizeBytes() {
            return nominal(description);
        }

        @Override
        public Optional<VmStateDescription<?>> nested() {
            return Optional.of(description);
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            VmStateCodec.save(description, at.get(state, index), version, to);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            VmStateCodec.load(description, at.get(state, index), version, in);
        }
    }

    /** An instance of an object that exists only while it is saved or loaded; its hooks carry values over. */
    record Temporary<T, S>(VmStateDescription<S> description, Function<T, S> create) implements Element<T> {
        @Override
        public String typeName() {
            return "tmp";
        }

        @Override
        public long nominalSizeBytes() {
            return nominal(description);
        }

        @Override
        public Optional<VmStateDescription<?>> nested() {
            return Optional.of(description);
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            VmStateCodec.save(description, create.apply(state), description.version(), to);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            VmStateCodec.load(description, create.apply(state), fieldVersion, in);
        }
    }

    /** A linked list: each element announced by a one, a zero after the last. */
    record Sequence<T, S>(
            String typeName, VmStateDescription<S> description, Function<T, List<S>> elements, Supplier<S> create)
            implements Element<T> {
        @Override
        public long nominalSizeBytes() {
            return 0;
        }

        @Override
        public Optional<VmStateDescription<?>> nested() {
            return Optional.of(description);
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            for (S element : elements.apply(state)) {
                to.out().writeU8(ELEMENT_FOLLOWS);
                VmStateCodec.save(description, element, description.version(), to);
            }
            to.out().writeU8(NO_MORE);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            List<S> list = elements.apply(state);
            String field = in.field();
            long at = in.offset();
            int count = 0;
            while (in.readU8() != NO_MORE) {
                if (++count > in.limits().elements()) {
                    throw in.rejection(at, "at most " + in.limits().elements() + " elements", "more");
                }
                S element = create.get();
                VmStateCodec.load(description, element, fieldVersion, in);
                list.add(element);
                in.enter(field);
            }
        }
    }

    /** How keys of a tree are written. */
    interface KeyCodec<K> {
        void save(K key, VmStateWriter to) throws VmStateException;

        K load(int fieldVersion, VmStateReader in) throws IOException;
    }

    /** Keys that are numbers: be64. */
    record NumberKey() implements KeyCodec<Long> {
        @Override
        public void save(Long key, VmStateWriter to) {
            to.out().writeLong(key);
        }

        @Override
        public Long load(int fieldVersion, VmStateReader in) throws IOException {
            return in.readLong();
        }
    }

    /** Keys with a description. */
    record DescribedKey<K>(VmStateDescription<K> description, Supplier<K> create) implements KeyCodec<K> {
        @Override
        public void save(K key, VmStateWriter to) throws VmStateException {
            VmStateCodec.save(description, key, description.version(), to);
        }

        @Override
        public K load(int fieldVersion, VmStateReader in) throws IOException {
            K key = create.get();
            VmStateCodec.load(description, key, fieldVersion, in);
            return key;
        }
    }

    /** A balanced tree: be32 node count, then each node announced by a one, a zero after the last. */
    record Tree<T, K, V>(
            KeyCodec<K> keys, VmStateDescription<V> description, Function<T, Map<K, V>> nodes, Supplier<V> create)
            implements Element<T> {
        @Override
        public String typeName() {
            return "gtree";
        }

        @Override
        public long nominalSizeBytes() {
            return Integer.BYTES;
        }

        @Override
        public Optional<VmStateDescription<?>> nested() {
            return Optional.of(description);
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            Map<K, V> tree = nodes.apply(state);
            to.out().writeInt(tree.size());
            for (Map.Entry<K, V> node : tree.entrySet()) {
                to.out().writeU8(ELEMENT_FOLLOWS);
                keys.save(node.getKey(), to);
                VmStateCodec.save(description, node.getValue(), description.version(), to);
            }
            to.out().writeU8(NO_MORE);
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            String field = in.field();
            long at = in.offset();
            long announced = Integer.toUnsignedLong(in.readInt());
            if (announced > in.limits().elements()) {
                throw in.rejection(at, "at most " + in.limits().elements() + " nodes", announced);
            }
            Map<K, V> tree = nodes.apply(state);
            long count = 0;
            while (in.readU8() != NO_MORE) {
                if (++count > announced) {
                    throw in.rejection(at, announced + " nodes, as announced", "more");
                }
                K key = keys.load(fieldVersion, in);
                V value = create.get();
                VmStateCodec.load(description, value, fieldVersion, in);
                tree.put(key, value);
                in.enter(field);
            }
            if (count < announced) {
                throw in.rejection(at, announced + " nodes, as announced", count);
            }
        }
    }
}
