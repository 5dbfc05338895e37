package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.ProtocolException;
import java.util.function.ToLongFunction;

/**
 * How many elements or bytes a field has. It is never on the wire by itself: it is a constant, or another member of the
 * state, usually one that was loaded before.
 */
public sealed interface Count<T> {
    /** Always the same. */
    record Fixed<T>(int count) implements Count<T> {
        /** Refuses negative counts. */
        public Fixed {
            if (count < 0) {
                throw new IllegalArgumentException("a count of " + count);
            }
        }
    }

    /**
     * {@code member} times {@code multiplier}.
     *
     * @param capacity the most that the local state has room for
     */
    record Member<T>(ToLongFunction<T> member, int multiplier, int capacity) implements Count<T> {
        /** Refuses a multiplier below 1 and negative capacities. */
        public Member {
            if (multiplier < 1 || capacity < 0) {
                throw new IllegalArgumentException("a count of " + multiplier + " times a member, at most " + capacity);
            }
        }
    }

    /** A constant. */
    static <T> Count<T> fixed(int count) {
        return new Fixed<>(count);
    }

    /** A matrix, row by row. */
    static <T> Count<T> matrix(int rows, int columns) {
        return new Fixed<>(Math.multiplyExact(rows, columns));
    }

    /** Another member's value, at most {@code capacity}. */
    static <T> Count<T> of(ToLongFunction<T> member, int capacity) {
        return new Member<>(member, 1, capacity);
    }

    /** Another member's value times a constant; the product is at most {@code capacity}. */
    static <T> Count<T> of(ToLongFunction<T> member, int multiplier, int capacity) {
        return new Member<>(member, multiplier, capacity);
    }

    /** The count at the source. */
    default int saved(T state, String field) throws VmStateException {
        return switch (this) {
            case Fixed<T>(int count) -> count;
            case Member<T>(ToLongFunction<T> member, int multiplier, int capacity) -> {
                long value = member.applyAsLong(state);
                if (value < 0 || value > capacity / multiplier) {
                    throw new VmStateException(
                            field, "count %d times %d is not in 0 to %d".formatted(value, multiplier, capacity));
                }
                yield (int) value * multiplier;
            }
        };
    }

    /** The count at the destination: the member's value came from the peer. */
    default int loaded(T state, VmStateReader in) throws ProtocolException {
        return switch (this) {
            case Fixed<T>(int count) -> count;
            case Member<T>(ToLongFunction<T> member, int multiplier, int capacity) -> {
                long value = member.applyAsLong(state);
                if (value < 0 || value > capacity / multiplier) {
                    throw in.rejection(in.offset(), "a count of 0 to " + capacity / multiplier, value);
                }
                yield (int) value * multiplier;
            }
        };
    }
}
