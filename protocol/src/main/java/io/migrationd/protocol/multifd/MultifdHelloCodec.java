package io.migrationd.protocol.multifd;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.UUID;
import java.util.function.IntPredicate;

/**
 * be32 magic, be32 version 1, 16 bytes uuid, u8 channel id, 39 reserved bytes. Wire source: QEMU 10.0
 * migration/multifd.c, MultiFDInit_t, multifd_recv_initial_packet.
 */
public final class MultifdHelloCodec {
    /** Starts every packet of a multifd channel, this one included. */
    public static final int MAGIC = 0x11223344;

    /** The only version in use. */
    public static final int VERSION = 1;

    /** Bytes of the packet. */
    public static final int LENGTH = 64;

    private static final int RESERVED = LENGTH - 25;

    private MultifdHelloCodec() {}

    /** Reads the packet. Reserved bytes may be anything. */
    public static MultifdHello read(StreamReader in) throws IOException {
        expectStart("multifd.hello", in);
        UUID uuid = new UUID(in.readLong("multifd.hello.uuid"), in.readLong("multifd.hello.uuid"));
        int channelId = in.readU8("multifd.hello.channel");
        in.skip("multifd.hello.reserved", RESERVED);
        return new MultifdHello(uuid, channelId);
    }

    /**
     * Checks what only the receiver knows.
     *
     * @param offset of the packet in its channel
     * @param channelCount configured number of channels, the same on both sides
     * @param inUse tells whether a channel of that id has said hello before
     */
    public static void check(MultifdHello hello, long offset, UUID localUuid, int channelCount, IntPredicate inUse)
            throws ProtocolException {
        if (!hello.uuid().equals(localUuid)) {
            throw new ProtocolException("multifd.hello.uuid", offset + 8, localUuid.toString(), hello.uuid());
        }
        int id = hello.channelId();
        if (id >= channelCount) {
            throw new ProtocolException("multifd.hello.channel", offset + 24, "0 to " + (channelCount - 1), id);
        }
        if (inUse.test(id)) {
            throw new ProtocolException("multifd.hello.channel", offset + 24, "a channel that is not open yet", id);
        }
    }

    /** Writes the packet. */
    public static void write(MultifdHello hello, WireWriter out) {
        out.writeInt(MAGIC)
                .writeInt(VERSION)
                .writeLong(hello.uuid().getMostSignificantBits())
                .writeLong(hello.uuid().getLeastSignificantBits())
                .writeU8(hello.channelId())
                .writeBytes(new byte[RESERVED]);
    }

    static void expectStart(String field, StreamReader in) throws IOException {
        long at = in.offset();
        int magic = in.readInt(field + ".magic");
        if (magic != MAGIC) {
            throw new ProtocolException(field + ".magic", at, "0x%08x".formatted(MAGIC), "0x%08x".formatted(magic));
        }
        at = in.offset();
        int version = in.readInt(field + ".version");
        if (version != VERSION) {
            throw new ProtocolException(
                    field + ".version", at, Integer.toString(VERSION), Integer.toUnsignedString(version));
        }
    }
}
