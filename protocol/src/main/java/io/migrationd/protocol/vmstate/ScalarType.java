package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;

/**
 * Encodings of a single number. In memory each is a {@code long}: sign- or zero-extended, a bool as 0 or 1, a double as
 * its bits. Wire source: QEMU 10.0 migration/vmstate-types.c.
 */
public enum ScalarType {
    /** One byte, 0 or 1. */
    BOOL("bool", 1, false, Check.NONE),
    /** One byte, signed. */
    INT8("int8", 1, true, Check.NONE),
    /** be16, signed. */
    INT16("int16", 2, true, Check.NONE),
    /** be32, signed. */
    INT32("int32", 4, true, Check.NONE),
    /** be64. */
    INT64("int64", 8, true, Check.NONE),
    /** One byte. */
    UINT8("uint8", 1, false, Check.NONE),
    /** be16. */
    UINT16("uint16", 2, false, Check.NONE),
    /** be32. */
    UINT32("uint32", 4, false, Check.NONE),
    /** be64. */
    UINT64("uint64", 8, false, Check.NONE),
    /** Must equal the destination's value. */
    INT32_EQUAL("int32 equal", 4, true, Check.EQUAL),
    /** Must equal the destination's value. */
    UINT8_EQUAL("uint8 equal", 1, false, Check.EQUAL),
    /** Must equal the destination's value. */
    UINT16_EQUAL("uint16 equal", 2, false, Check.EQUAL),
    /** Must equal the destination's value. */
    UINT32_EQUAL("uint32 equal", 4, false, Check.EQUAL),
    /** Must equal the destination's value. Unsigned in spite of its name. */
    UINT64_EQUAL("int64 equal", 8, false, Check.EQUAL),
    /** From 0 to the destination's value. */
    INT32_LE("int32 le", 4, true, Check.LESS_OR_EQUAL),
    /** be64, expiry in ns; all ones: not armed. */
    TIMER("timer", 8, true, Check.NONE),
    /** IEEE double, big-endian. */
    CPU_DOUBLE("CPU_Double_U", 8, false, Check.NONE),
    /** IEEE double, big-endian; only old versions. */
    FLOAT64("float64", 8, false, Check.NONE);

    /** What the destination demands of a received value. */
    private enum Check {
        NONE,
        EQUAL,
        LESS_OR_EQUAL
    }

    private final String typeName;
    private final int sizeBytes;
    private final boolean signed;
    private final Check check;

    ScalarType(String typeName, int sizeBytes, boolean signed, Check check) {
        this.typeName = typeName;
        this.sizeBytes = sizeBytes;
        this.signed = signed;
        this.check = check;
    }

    /** The name in descriptions. */
    public String typeName() {
        return typeName;
    }

    /** Bytes on the wire. */
    public int sizeBytes() {
        return sizeBytes;
    }

    void write(long value, WireWriter out) {
        if (this == BOOL) {
            out.writeU8(value == 0 ? 0 : 1);
            return;
        }
        for (int shift = Byte.SIZE * (sizeBytes - 1); shift >= 0; shift -= Byte.SIZE) {
            out.writeU8((int) (value >>> shift));
        }
    }

    long read(VmStateReader in) throws IOException {
        return switch (sizeBytes) {
            case 1 -> extend(in.readU8());
            case 2 -> extend(in.readU16());
            case 4 -> extend(in.readInt());
            default -> in.readLong();
        };
    }

    private long extend(int raw) {
        if (this == BOOL) {
            return raw == 0 ? 0 : 1;
        }
        int unused = Long.SIZE - Byte.SIZE * sizeBytes;
        long high = (long) raw << unused;
        return signed ? high >> unused : high >>> unused;
    }

    /** Whether a received value replaces the local one: a value that is only compared doesn't. */
    boolean isStored() {
        return check == Check.NONE;
    }

    void require(long received, long local, VmStateReader in, long at) throws ProtocolException {
        boolean fits = switch (check) {
            case NONE -> true;
            case EQUAL -> received == local;
            case LESS_OR_EQUAL -> received >= 0 && received <= local;
        };
        if (!fits) {
            throw in.rejection(at, check == Check.EQUAL ? "the local value " + local : "0 to " + local, received);
        }
    }
}
