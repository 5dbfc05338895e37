package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;

/** A hand-written encoding of a member of {@code T}: descriptions know only its name and size. */
public interface ElementCodec<T> {
    /** The name in descriptions, for example {@code pci config}. */
    String typeName();

    /** Writes the element. */
    void save(T state, WireWriter out) throws VmStateException;

    /** Reads the element. */
    void load(T state, VmStateReader in) throws IOException;
}
