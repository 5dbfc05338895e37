package io.migrationd.protocol.vmstate;

import java.io.IOException;
import java.util.Optional;

/** Encoding of one element of a field of state {@code T}; an array has many, told apart by index. */
interface Element<T> {
    /** The name in descriptions. */
    String typeName();

    /** Bytes of an element as far as they are constant: only for comparing versions of a description. */
    long nominalSizeBytes();

    void save(T state, int index, VmStateWriter out) throws VmStateException;

    /** {@code fieldVersion} is in force for element descriptions of lists, trees and temporaries. */
    void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException;

    /** The description that the element runs. */
    default Optional<VmStateDescription<?>> nested() {
        return Optional.empty();
    }

    /** The element is a struct: its description stands in an object of its own. */
    default boolean isStruct() {
        return false;
    }

    /** No part of the element depends on a presence test or is a subsection. */
    default boolean isUniform() {
        return true;
    }

    /** Checks the state and has no wire image. */
    default boolean isValidation() {
        return false;
    }
}
