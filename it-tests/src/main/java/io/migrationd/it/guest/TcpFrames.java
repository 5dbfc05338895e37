package io.migrationd.it.guest;

import java.nio.ByteBuffer;
import java.util.Optional;

/** Ethernet frames of one TCP connection over IPv4, as few fields as a test needs. Formats: RFC 826, 791, 9293. */
final class TcpFrames {
    static final int FIN = 1;
    static final int SYN = 2;
    static final int RST = 4;
    static final int PSH = 8;
    static final int ACK = 16;

    private static final int ETHERNET_BYTES = 14;
    private static final int IP_BYTES = 20;
    private static final int TCP_BYTES = 20;
    private static final int LEAST_FRAME_BYTES = 60;
    private static final short TYPE_IP = 0x0800;
    private static final short TYPE_ARP = 0x0806;
    private static final int PROTOCOL_TCP = 6;
    private static final int WINDOW = 0xFAF0;

    private final long ourMac;
    private final int ourAddress;
    private final int ourPort;
    private final long theirMac;
    private final int theirAddress;
    private final int theirPort;

    TcpFrames(long ourMac, int ourAddress, int ourPort, long theirMac, int theirAddress, int theirPort) {
        this.ourMac = ourMac;
        this.ourAddress = ourAddress;
        this.ourPort = ourPort;
        this.theirMac = theirMac;
        this.theirAddress = theirAddress;
        this.theirPort = theirPort;
    }

    /** What came over the connection. */
    record Segment(int sequence, int acknowledged, int flags, byte[] data) {
        boolean has(int flag) {
            return (flags & flag) != 0;
        }
    }

    /** A frame to them. */
    ByteBuffer segment(int sequence, int acknowledged, int flags, byte[] data) {
        int length = ETHERNET_BYTES + IP_BYTES + TCP_BYTES + data.length;
        ByteBuffer frame = ByteBuffer.allocate(Math.max(LEAST_FRAME_BYTES, length));
        ethernet(frame, TYPE_IP);
        frame.putShort((short) 0x4500)
                .putShort((short) (length - ETHERNET_BYTES))
                .putInt(0x00004000)
                .putShort((short) ((64 << 8) | PROTOCOL_TCP))
                .putShort((short) 0)
                .putInt(ourAddress)
                .putInt(theirAddress);
        frame.putShort((short) ourPort)
                .putShort((short) theirPort)
                .putInt(sequence)
                .putInt(acknowledged)
                .putShort((short) (((TCP_BYTES / 4) << 12) | flags))
                .putShort((short) WINDOW)
                .putInt(0)
                .put(data);
        frame.putShort(ETHERNET_BYTES + 10, checksum(frame, ETHERNET_BYTES, IP_BYTES, 0));
        int pseudo = half(ourAddress) + half(theirAddress) + PROTOCOL_TCP + TCP_BYTES + data.length;
        frame.putShort(
                ETHERNET_BYTES + IP_BYTES + 16,
                checksum(frame, ETHERNET_BYTES + IP_BYTES, TCP_BYTES + data.length, pseudo));
        return frame.rewind();
    }

    /** The segment in a frame, if it is one of this connection. */
    Optional<Segment> parse(ByteBuffer frame) {
        int tcp = ETHERNET_BYTES + IP_BYTES;
        boolean ours = frame.limit() >= tcp + TCP_BYTES
                && frame.getShort(12) == TYPE_IP
                && frame.get(ETHERNET_BYTES) == 0x45
                && frame.get(ETHERNET_BYTES + 9) == PROTOCOL_TCP
                && frame.getInt(ETHERNET_BYTES + 16) == ourAddress
                && Short.toUnsignedInt(frame.getShort(tcp)) == theirPort
                && Short.toUnsignedInt(frame.getShort(tcp + 2)) == ourPort;
        if (!ours) {
            return Optional.empty();
        }
        int start = tcp + (Byte.toUnsignedInt(frame.get(tcp + 12)) >> 4) * 4;
        int end = ETHERNET_BYTES + Short.toUnsignedInt(frame.getShort(ETHERNET_BYTES + 2));
        byte[] data = new byte[Math.max(0, Math.min(end, frame.limit()) - start)];
        frame.get(start, data);
        return Optional.of(new Segment(frame.getInt(tcp + 4), frame.getInt(tcp + 8), frame.get(tcp + 13), data));
    }

    /** The answer to a frame that asks for our address. */
    Optional<ByteBuffer> answerToArp(ByteBuffer frame) {
        boolean asksForUs = frame.limit() >= ETHERNET_BYTES + 28
                && frame.getShort(12) == TYPE_ARP
                && frame.getShort(ETHERNET_BYTES + 6) == 1
                && frame.getInt(ETHERNET_BYTES + 24) == ourAddress;
        if (!asksForUs) {
            return Optional.empty();
        }
        ByteBuffer answer = ByteBuffer.allocate(LEAST_FRAME_BYTES);
        ethernet(answer, TYPE_ARP);
        answer.putLong(0x0001080006040002L);
        mac(answer, ourMac);
        answer.putInt(ourAddress);
        mac(answer, theirMac);
        answer.putInt(theirAddress);
        return Optional.of(answer.rewind());
    }

    private void ethernet(ByteBuffer frame, short type) {
        mac(frame, theirMac);
        mac(frame, ourMac);
        frame.putShort(type);
    }

    private static void mac(ByteBuffer frame, long mac) {
        frame.putShort((short) (mac >> 32)).putInt((int) mac);
    }

    private static int half(int address) {
        return (address >>> 16) + (address & 0xFFFF);
    }

    private static short checksum(ByteBuffer bytes, int start, int length, int first) {
        long sum = first;
        for (int i = 0; i < length; i++) {
            int value = Byte.toUnsignedInt(bytes.get(start + i));
            sum += i % 2 == 0 ? value << 8 : value;
        }
        while (sum >>> 16 != 0) {
            sum = (sum & 0xFFFF) + (sum >>> 16);
        }
        return (short) ~sum;
    }
}
