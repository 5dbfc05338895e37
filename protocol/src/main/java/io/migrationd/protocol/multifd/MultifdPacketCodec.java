package io.migrationd.protocol.multifd;

import io.migrationd.protocol.multifd.MultifdPacket.DeviceState;
import io.migrationd.protocol.multifd.MultifdPacket.Pages;
import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;

/**
 * Packet headers of a multifd channel, for one guest page size. A packet with pages has 320 bytes and one be64 for
 * every page that would fit 512 KiB, used or not; a packet with device state has 276. The first 12 bytes tell which.
 *
 * <p>Wire source: QEMU 10.0 migration/multifd.h, MultiFDPacket_t and MultiFDPacketDeviceState_t; multifd.c
 * multifd_recv_unfill_packet.
 */
public final class MultifdPacketCodec {
    /** A packet covers at most this much memory. */
    public static final int PACKET_PAGES_BYTES = 512 * 1024;

    /** QEMU's own bound for a compressed payload: twice the pages. */
    public static final int MAX_COMPRESSED_BYTES = 2 * PACKET_PAGES_BYTES;

    /** Device state is sent in buffers of about 1 MiB; a receiver has to hold one whole. */
    public static final int MAX_DEVICE_STATE_BYTES = 128 << 20;

    /** The first bytes of a packet, up to the flags that tell its kind. */
    public static final int FLAGS_END = 12;

    /** Header of a packet with pages, without its page offsets. */
    static final int FIXED_HEADER_BYTES = 320;

    private static final int DEVICE_STATE_HEADER_BYTES = 276;
    private static final int SYNC = 0x01;
    private static final int COMPRESSION_MASK = 0x3e;
    private static final int DEVICE_STATE = 0x40;
    private static final int KNOWN_FLAGS = SYNC | COMPRESSION_MASK | DEVICE_STATE;
    private static final int NAME_BYTES = 256;
    private static final int NAME_OFFSET = 64;

    private final int pageSizeBytes;
    private final int pagesPerPacket;
    private final Optional<MultifdCompression> configured;

    /** A codec for channels whose compression is {@code configured}. */
    public MultifdPacketCodec(int pageSizeBytes, MultifdCompression configured) {
        this(pageSizeBytes, Optional.of(configured));
    }

    /** A codec that takes any compression, for tools that cannot know it. */
    public MultifdPacketCodec(int pageSizeBytes) {
        this(pageSizeBytes, Optional.empty());
    }

    private MultifdPacketCodec(int pageSizeBytes, Optional<MultifdCompression> configured) {
        if (Integer.bitCount(pageSizeBytes) != 1 || pageSizeBytes < 1024 || pageSizeBytes > PACKET_PAGES_BYTES) {
            throw new IllegalArgumentException("a guest page of " + pageSizeBytes + " bytes");
        }
        this.pageSizeBytes = pageSizeBytes;
        this.pagesPerPacket = PACKET_PAGES_BYTES / pageSizeBytes;
        this.configured = configured;
    }

    /** Bytes of the header of a packet with pages. */
    public int headerBytes() {
        return FIXED_HEADER_BYTES + Long.BYTES * pagesPerPacket;
    }

    /** Bytes of the header of a packet with these flags, the last word of its first {@link #FLAGS_END} bytes. */
    public int headerBytes(int flags) {
        return (flags & DEVICE_STATE) != 0 ? DEVICE_STATE_HEADER_BYTES : headerBytes();
    }

    /** Reads a header. The payload is the next thing in {@code in}. */
    public MultifdPacket read(StreamReader in) throws IOException {
        long start = in.offset();
        MultifdHelloCodec.expectStart("multifd.packet", in);
        int flags = in.readInt("multifd.packet.flags");
        if ((flags & ~KNOWN_FLAGS) != 0) {
            throw new ProtocolException(
                    "multifd.packet.flags", start + 8, "flags within 0x%x".formatted(KNOWN_FLAGS), hex(flags));
        }
        return (flags & DEVICE_STATE) != 0 ? readDeviceState(start, flags, in) : readPages(start, flags, in);
    }

    /**
     * Checks that all pages lie within a block of {@code blockLengthBytes}.
     *
     * @throws ProtocolException at the first offset that does not
     */
    public void checkInside(Pages packet, long blockLengthBytes) throws ProtocolException {
        long at = packet.offset() + FIXED_HEADER_BYTES;
        for (long[] pages : new long[][] {packet.normalPages(), packet.zeroPages()}) {
            for (long page : pages) {
                if (page > blockLengthBytes - pageSizeBytes) {
                    throw new ProtocolException(
                            "multifd.packet.page", at, "an offset below 0x%x".formatted(blockLengthBytes), hex(page));
                }
                at += Long.BYTES;
            }
        }
    }

    /**
     * Writes a header as QEMU 9.0 and later do: what is not used is zero.
     *
     * @throws IllegalArgumentException if the packet has more pages than fit
     */
    public void write(MultifdPacket packet, WireWriter out) {
        out.writeInt(MultifdHelloCodec.MAGIC).writeInt(MultifdHelloCodec.VERSION);
        switch (packet) {
            case Pages pages -> writePages(pages, out);
            case DeviceState(var _, String idstr, int instanceId, int payloadBytes) ->
                writeName(idstr, out.writeInt(DEVICE_STATE))
                        .writeInt(instanceId)
                        .writeInt(payloadBytes);
        }
    }

    private Pages readPages(long start, int flags, StreamReader in) throws IOException {
        // 1344 bytes for 4 KiB pages, 4416 for the smallest ones: a piece that a reader can hand out.
        ByteBuffer header = in.slice("multifd.packet.header", headerBytes() - 12);
        int base = header.position() - 12;
        int allocated = count("multifd.packet.pages-alloc", start + 12, header.getInt(base + 12), pagesPerPacket);
        int normal = count("multifd.packet.normal-pages", start + 16, header.getInt(base + 16), allocated);
        int zero = count("multifd.packet.zero-pages", start + 32, header.getInt(base + 32), allocated - normal);
        MultifdCompression compression = normal + zero == 0 ? MultifdCompression.NONE : compression(start, flags);
        int payload = normal == 0 ? 0 : payload(start, compression, normal, header.getInt(base + 20));
        return new Pages(
                start,
                (flags & SYNC) != 0,
                compression,
                header.getLong(base + 24),
                normal + zero == 0 ? "" : name("multifd.packet.block", start + NAME_OFFSET, header, base + NAME_OFFSET),
                pages(start, header, base, 0, normal),
                pages(start, header, base, normal, zero),
                payload);
    }

    private static int count(String field, long at, int value, int most) throws ProtocolException {
        if (value < 0 || value > most) {
            throw new ProtocolException(field, at, "at most " + most, Integer.toUnsignedString(value));
        }
        return value;
    }

    private MultifdCompression compression(long start, int flags) throws ProtocolException {
        MultifdCompression actual = switch (flags & COMPRESSION_MASK) {
            case 0x00 -> MultifdCompression.NONE;
            case 0x02 -> MultifdCompression.ZLIB;
            case 0x04 -> MultifdCompression.ZSTD;
            case 0x08 -> MultifdCompression.QPL;
            case 0x10 -> MultifdCompression.UADK;
            case 0x20 -> MultifdCompression.QATZIP;
            default ->
                throw new ProtocolException("multifd.packet.flags", start + 8, "one compression method", hex(flags));
        };
        if (configured.isPresent() && configured.get() != actual) {
            throw new ProtocolException(
                    "multifd.packet.flags", start + 8, "compression " + configured.get(), actual.toString());
        }
        return actual;
    }

    private int payload(long start, MultifdCompression compression, int normal, int announced)
            throws ProtocolException {
        int raw = normal * pageSizeBytes;
        boolean fits = compression == MultifdCompression.NONE
                ? announced == raw
                : announced >= 0 && announced <= MAX_COMPRESSED_BYTES;
        if (!fits) {
            throw new ProtocolException(
                    "multifd.packet.next-packet-size",
                    start + 20,
                    compression == MultifdCompression.NONE
                            ? "%d bytes, %d pages".formatted(raw, normal)
                            : "at most " + MAX_COMPRESSED_BYTES + " bytes",
                    Integer.toUnsignedString(announced));
        }
        return announced;
    }

    private long[] pages(long start, ByteBuffer header, int base, int from, int count) throws ProtocolException {
        long[] pages = new long[count];
        for (int i = 0; i < count; i++) {
            int at = FIXED_HEADER_BYTES + Long.BYTES * (from + i);
            long page = header.getLong(base + at);
            if (page < 0 || (page & (pageSizeBytes - 1)) != 0) {
                throw new ProtocolException(
                        "multifd.packet.page", start + at, "a multiple of " + pageSizeBytes, hex(page));
            }
            pages[i] = page;
        }
        return pages;
    }

    private static DeviceState readDeviceState(long start, int flags, StreamReader in) throws IOException {
        if (flags != DEVICE_STATE) {
            throw new ProtocolException("multifd.packet.flags", start + 8, "0x40 alone for device state", hex(flags));
        }
        ByteBuffer nameField = in.slice("multifd.device-state.idstr", NAME_BYTES);
        String idstr = name("multifd.device-state.idstr", start + 12, nameField, nameField.position());
        int instanceId = in.readInt("multifd.device-state.instance-id");
        int size = in.readInt("multifd.device-state.size");
        if (size <= 0 || size > MAX_DEVICE_STATE_BYTES) {
            throw new ProtocolException(
                    "multifd.device-state.size",
                    start + 272,
                    "1 to " + MAX_DEVICE_STATE_BYTES + " bytes",
                    Integer.toUnsignedString(size));
        }
        return new DeviceState(start, idstr, instanceId, size);
    }

    private static String name(String field, long at, ByteBuffer bytes, int position) throws ProtocolException {
        int length = 0;
        while (length < NAME_BYTES && bytes.get(position + length) != 0) {
            length++;
        }
        if (length == 0 || length == NAME_BYTES) {
            throw new ProtocolException(
                    field,
                    at,
                    "a name of 1 to 255 bytes and its NUL",
                    length == 0 ? "an empty one" : "no NUL within " + NAME_BYTES + " bytes");
        }
        byte[] name = new byte[length];
        bytes.get(position, name);
        return Names.fromWire(name);
    }

    private void writePages(Pages packet, WireWriter out) {
        int normal = packet.normalPages().length;
        int zero = packet.zeroPages().length;
        if (normal + zero > pagesPerPacket) {
            throw new IllegalArgumentException((normal + zero) + " pages do not fit a packet of " + pagesPerPacket);
        }
        out.writeInt((packet.sync() ? SYNC : 0) | flag(packet.compression()))
                .writeInt(normal + zero == 0 ? 0 : pagesPerPacket)
                .writeInt(normal)
                .writeInt(packet.payloadBytes())
                .writeLong(packet.packetNumber())
                .writeInt(zero)
                .writeBytes(new byte[28]);
        writeName(packet.block(), out);
        Arrays.stream(packet.normalPages()).forEach(out::writeLong);
        Arrays.stream(packet.zeroPages()).forEach(out::writeLong);
        out.writeBytes(new byte[Long.BYTES * (pagesPerPacket - normal - zero)]);
    }

    private static WireWriter writeName(String name, WireWriter out) {
        byte[] bytes = name.getBytes(StandardCharsets.ISO_8859_1);
        if (bytes.length >= NAME_BYTES) {
            throw new IllegalArgumentException("a name of " + bytes.length + " bytes");
        }
        return out.writeBytes(Arrays.copyOf(bytes, NAME_BYTES));
    }

    private static int flag(MultifdCompression compression) {
        return switch (compression) {
            case NONE -> 0x00;
            case ZLIB -> 0x02;
            case ZSTD -> 0x04;
            case QPL -> 0x08;
            case UADK -> 0x10;
            case QATZIP -> 0x20;
        };
    }

    private static String hex(long value) {
        return "0x" + Long.toHexString(value);
    }

    private static String hex(int value) {
        return "0x" + Integer.toHexString(value);
    }
}
