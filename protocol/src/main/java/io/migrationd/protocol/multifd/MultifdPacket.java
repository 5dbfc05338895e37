package io.migrationd.protocol.multifd;

/** Header of a packet; the payload follows it on the channel. {@code offset} is that of the packet in its channel. */
public sealed interface MultifdPacket {
    /** Where the packet starts in its channel. */
    long offset();

    /** Bytes that follow the header. */
    int payloadBytes();

    /**
     * Pages, a synchronisation mark, or (QEMU 7.2) neither or both. Pages are stored before the mark is acted on.
     *
     * @param compression of the payload; NONE if there are no pages
     * @param packetNumber for diagnostics; may repeat and have gaps
     * @param block empty if there are no pages
     * @param normalPages byte offsets in the block of pages whose content is the payload
     * @param zeroPages byte offsets of pages that are all zeroes
     */
    record Pages(
            long offset,
            boolean sync,
            MultifdCompression compression,
            long packetNumber,
            String block,
            long[] normalPages,
            long[] zeroPages,
            int payloadBytes)
            implements MultifdPacket {}

    /** State of one device (QEMU 10.0 and later); what the payload means is the device's business. */
    record DeviceState(long offset, String idstr, int instanceId, int payloadBytes) implements MultifdPacket {}
}
