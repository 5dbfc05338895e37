package io.migrationd.protocol.ram;

/**
 * Flags in the low bits of a page record's word. Wire source: QEMU 10.0 migration/ram.c, RAM_SAVE_FLAG_*. Exactly one
 * flag other than {@link #CONTINUE} is set in every record.
 */
public final class RamFlags {
    /** A page of zeroes; a fill byte follows. */
    public static final int ZERO = 0x002;
    /** The block list. */
    public static final int MEM_SIZE = 0x004;
    /** A whole page. */
    public static final int PAGE = 0x008;
    /** End of this section body. */
    public static final int EOS = 0x010;
    /** Same block as the page record before; no name follows. */
    public static final int CONTINUE = 0x020;
    /** A delta against the page's present content. */
    public static final int XBZRLE = 0x040;
    /** RDMA only. */
    public static final int HOOK = 0x080;
    /** A zlib page, up to QEMU 9.0. */
    public static final int COMPRESS_PAGE = 0x100;
    /** Multifd synchronisation, from QEMU 8.1. */
    public static final int MULTIFD_FLUSH = 0x200;
    /** The version of the section's content, the only one there is. */
    public static final int SECTION_VERSION = 4;

    private RamFlags() {}
}
