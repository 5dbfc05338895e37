package io.migrationd.migrationd.guest.process;

import java.time.Duration;

/** Numbers of the guest protocol, docs/guest-protocol.md. */
public final class GuestProtocol {
    /** The only version there is. */
    public static final int VERSION = 1;

    /** Length of a line, its line feed included. The device layouts of a hello are the longest. */
    public static final int MAX_LINE_BYTES = 1 << 20;
    /** Length of the bytes that follow a line. */
    public static final int MAX_PAYLOAD_BYTES = 64 << 20;

    /** RAM blocks of one guest. */
    public static final int MAX_REGIONS = 48;
    /** Descriptors with a hello: the userfaultfd and a memfd per region. */
    public static final int MAX_DESCRIPTORS = 1 + MAX_REGIONS;
    /** Device sections of one guest. */
    public static final int MAX_DEVICES = 1024;
    /** All RAM of one guest. */
    public static final long MAX_RAM_BYTES = 1L << 44;

    /** How long a VMM may take to say hello, from the connection on. */
    public static final Duration HELLO_DEADLINE = Duration.ofSeconds(5);
    /** How long a VMM may take to answer a request. */
    public static final Duration REQUEST_DEADLINE = Duration.ofSeconds(10);

    private GuestProtocol() {}
}
