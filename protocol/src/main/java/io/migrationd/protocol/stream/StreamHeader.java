package io.migrationd.protocol.stream;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;

/**
 * The eight bytes a main channel starts with: be32 magic "QEVM", be32 version 3. A resumed postcopy connection, a
 * packaged blob and a COLO checkpoint have none.
 *
 * <p>Wire source: QEMU 10.0 migration/savevm.h QEMU_VM_FILE_MAGIC, migration/savevm.c qemu_savevm_state_header.
 */
public final class StreamHeader {
    /** "QEVM". */
    public static final int MAGIC = 0x5145564D;

    /** The only version in use. */
    public static final int VERSION = 3;

    /** Bytes of the header. */
    public static final int LENGTH = 8;

    private static final int OBSOLETE_VERSION = 2;

    private StreamHeader() {}

    /**
     * Reads and checks the header.
     *
     * @throws ProtocolException if this is no stream, or one of another version
     */
    public static void read(StreamReader in) throws IOException {
        long at = in.offset();
        int magic = in.readInt("header.magic");
        if (magic != MAGIC) {
            throw new ProtocolException(
                    "header.magic", at, "0x5145564d (\"QEVM\", a migration stream)", "0x%08x".formatted(magic));
        }
        at = in.offset();
        int version = in.readInt("header.version");
        if (version == OBSOLETE_VERSION) {
            throw new ProtocolException(
                    "header.version", at, "version 3", "version 2, a format that is obsolete and not read any more");
        }
        if (version != VERSION) {
            throw new ProtocolException(
                    "header.version",
                    at,
                    "version 3",
                    "version " + Integer.toUnsignedString(version) + ", which is not supported");
        }
    }

    /** Writes the header. */
    public static void write(WireWriter out) {
        out.writeInt(MAGIC).writeInt(VERSION);
    }
}
