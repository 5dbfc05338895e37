package io.migrationd.migrationd.relay.tap;

import io.migrationd.protocol.multifd.MultifdHello;
import io.migrationd.protocol.multifd.MultifdHelloCodec;
import io.migrationd.protocol.multifd.MultifdPacket;
import io.migrationd.protocol.multifd.MultifdPacketCodec;
import io.migrationd.protocol.wire.ChunkSource;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.Optional;

/**
 * Watches a multifd channel: its hello and the headers of its packets. Something is allocated per packet, not per page.
 */
public final class MultifdTap extends PushParser {
    private final MultifdPacketCodec codec;
    private Optional<MultifdHello> hello = Optional.empty();
    private long packets;
    private long syncs;
    private long deviceStates;
    private long normalPages;
    private long zeroPages;
    private long payloadBytes;

    /** A tap for a guest whose pages have {@code pageSizeBytes}. */
    public MultifdTap(int pageSizeBytes) {
        codec = new MultifdPacketCodec(pageSizeBytes);
    }

    @Override
    int step(ByteBuffer in, int at, int limit) throws ProtocolException {
        int have = limit - at;
        if (hello.isEmpty() && have < MultifdHelloCodec.LENGTH) {
            return ~MultifdHelloCodec.LENGTH;
        }
        int head = MultifdPacketCodec.FLAGS_END;
        if (have < head) {
            return ~head;
        }
        int length = hello.isEmpty() ? MultifdHelloCodec.LENGTH : codec.headerBytes(in.getInt(at + head - 4));
        if (have < length) {
            return ~length;
        }
        StreamReader reader = new StreamReader(ChunkSource.of(in.slice(at, length)), offset());
        try {
            if (hello.isEmpty()) {
                hello = Optional.of(MultifdHelloCodec.read(reader));
            } else {
                packet(codec.read(reader));
            }
        } catch (ProtocolException e) {
            throw e;
        } catch (IOException e) {
            throw new IllegalStateException("bytes in memory cannot fail", e);
        }
        return length;
    }

    @Override
    void finished() {
        end();
    }

    private void packet(MultifdPacket packet) {
        packets++;
        switch (packet) {
            case MultifdPacket.DeviceState(var _, var _, var _, int bytes) -> {
                deviceStates++;
                payloadBytes += bytes;
                skip(bytes);
            }
            case MultifdPacket.Pages pages -> {
                syncs += pages.sync() ? 1 : 0;
                normalPages += pages.normalPages().length;
                zeroPages += pages.zeroPages().length;
                payloadBytes += pages.payloadBytes();
                skip(pages.payloadBytes());
            }
        }
    }

    /** First packet of the channel; absent until it has passed. */
    public Optional<MultifdHello> hello() {
        return hello;
    }

    /** Packets of any kind. */
    public long packets() {
        return packets;
    }

    /** Packets at which channels are waited for. */
    public long syncs() {
        return syncs;
    }

    /** Packets with device state, from QEMU 10.0. */
    public long deviceStates() {
        return deviceStates;
    }

    /** Pages with content, compressed or not, and zero pages. */
    public PageCounts pages() {
        return new PageCounts(normalPages, zeroPages, 0, 0);
    }

    /** Bytes behind the headers. */
    public long payloadBytes() {
        return payloadBytes;
    }
}
