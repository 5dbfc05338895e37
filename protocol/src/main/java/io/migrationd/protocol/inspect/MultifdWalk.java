package io.migrationd.protocol.inspect;

import io.migrationd.protocol.multifd.MultifdCompression;
import io.migrationd.protocol.multifd.MultifdHello;
import io.migrationd.protocol.multifd.MultifdHelloCodec;
import io.migrationd.protocol.multifd.MultifdPacket;
import io.migrationd.protocol.multifd.MultifdPacket.DeviceState;
import io.migrationd.protocol.multifd.MultifdPacket.Pages;
import io.migrationd.protocol.multifd.MultifdPacketCodec;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.zip.DataFormatException;
import java.util.zip.Inflater;

/** A multifd channel: its hello and its packets. The payload of zlib channels is inflated to check its size. */
final class MultifdWalk {
    private static final int DEFAULT_PAGE_SIZE = 4096;

    private final Trace trace;
    private final int pageSize;
    private final MultifdPacketCodec codec;
    private Optional<MultifdCompression> compression = Optional.empty();

    MultifdWalk(Trace trace, InspectOptions options) {
        this.trace = trace;
        this.pageSize = options.pageSizeBytes().orElse(DEFAULT_PAGE_SIZE);
        this.codec = new MultifdPacketCodec(pageSize);
    }

    void walk(StreamReader in) throws IOException {
        trace.enter("the hello of the multifd channel");
        long at = in.offset();
        MultifdHello hello = MultifdHelloCodec.read(in);
        Map<String, Object> details = new LinkedHashMap<>();
        details.put("channel", hello.channelId());
        details.put("uuid", hello.uuid().toString());
        trace.item(at, "hello", details);
        trace.leave();
        Inflater inflater = new Inflater();
        try {
            while (!in.atEnd()) {
                trace.enter("the packet at offset " + in.offset());
                packet(in, inflater);
                trace.leave();
            }
        } finally {
            inflater.end();
        }
        trace.item(in.offset(), "end of channel");
    }

    private void packet(StreamReader in, Inflater inflater) throws IOException {
        MultifdPacket packet = codec.read(in);
        trace.totals().add("packets", 1);
        switch (packet) {
            case DeviceState(long offset, String idstr, int instanceId, int bytes) -> {
                Map<String, Object> details = new LinkedHashMap<>();
                details.put("section", idstr);
                details.put("instance", Integer.toUnsignedLong(instanceId));
                details.put("bytes", bytes);
                trace.totals().add("device_state", 1);
                trace.item(offset, "device-state", details);
                in.skip("multifd.payload", bytes);
            }
            case Pages pages -> pages(pages, in, inflater);
        }
    }

    private void pages(Pages packet, StreamReader in, Inflater inflater) throws IOException {
        Map<String, Object> details = new LinkedHashMap<>();
        int normal = packet.normalPages().length;
        int zero = packet.zeroPages().length;
        details.put("number", packet.packetNumber());
        if (normal + zero > 0) {
            checkCompression(packet);
            details.put("block", packet.block());
            details.put("pages", normal);
            details.put("zero", zero);
            details.put("compression", packet.compression().toString());
            details.put("bytes", packet.payloadBytes());
        }
        if (packet.sync()) {
            details.put("sync", true);
            trace.totals().add("sync", 1);
        }
        trace.totals().add("page", normal);
        trace.totals().add("zero", zero);
        trace.totals().add("payload_bytes", packet.payloadBytes());
        trace.item(packet.offset(), "packet", details);
        payload(packet, normal, in, inflater);
    }

    /** All packets of a channel use the method that both ends are configured for. */
    private void checkCompression(Pages packet) throws ProtocolException {
        if (compression.isEmpty()) {
            compression = Optional.of(packet.compression());
        } else if (compression.get() != packet.compression()) {
            throw new ProtocolException(
                    "multifd.packet.flags",
                    packet.offset() + 8,
                    "compression " + compression.get() + " as before",
                    packet.compression().toString());
        }
    }

    private void payload(Pages packet, int pages, StreamReader in, Inflater inflater) throws IOException {
        if (pages == 0 || packet.compression() != MultifdCompression.ZLIB) {
            in.skip("multifd.payload", packet.payloadBytes());
            return;
        }
        long at = in.offset();
        byte[] compressed =
                in.readBytes("multifd.payload", packet.payloadBytes(), MultifdPacketCodec.MAX_COMPRESSED_BYTES);
        byte[] inflated = new byte[pages * pageSize + 1];
        inflater.setInput(compressed);
        try {
            int size = inflater.inflate(inflated);
            if (size != pages * pageSize || inflater.getRemaining() != 0) {
                throw new ProtocolException(
                        "multifd.payload",
                        at,
                        "%d pages of zlib data".formatted(pages),
                        "%d bytes, %d of the payload unused".formatted(size, inflater.getRemaining()));
            }
        } catch (DataFormatException e) {
            throw new ProtocolException("multifd.payload", at, "zlib data", "something else", e);
        }
    }
}
