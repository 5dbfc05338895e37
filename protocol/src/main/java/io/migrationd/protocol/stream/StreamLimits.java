package io.migrationd.protocol.stream;

/** What a reader of the envelope accepts at most. The wire's own lengths go far beyond anything a real source sends. */
public final class StreamLimits {
    /** Bytes of a machine type name. QEMU's longest is about 30; 255 is what any other name of the wire can hold. */
    public static final int MAX_MACHINE_NAME = 255;

    /** Capabilities in the configuration. QEMU knows about 25 and sends the validated ones, two so far. */
    public static final int MAX_CAPABILITIES = 64;

    /** Below 1 KiB the page flags of the RAM section, up to 0x200, would not fit under a page-aligned offset. */
    public static final int MIN_PAGE_BITS = 10;

    /** 64 KiB: the largest guest page of any target. */
    public static final int MAX_PAGE_BITS = 16;

    /**
     * Bytes of a PACKAGED blob, which is held in memory whole. It carries device state only, never RAM: some hundred
     * KiB for a small guest, and even 4096 virtual CPUs, the most that QEMU has, stay below 50 MiB.
     */
    public static final int MAX_PACKAGE = 128 << 20;

    /**
     * Bytes of the trailing description: about 100 KiB for a small guest and 8 KiB per virtual CPU, of which QEMU has
     * up to 4096.
     */
    public static final int MAX_DESCRIPTION = 48 << 20;

    private StreamLimits() {}
}
