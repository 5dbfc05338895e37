package io.migrationd.migrationd.session;

/** Values of SHUT. QEMU sends 0 and 1 and takes any other for a failure. */
public final class ShutStatus {
    /** The destination has the whole guest. */
    public static final int COMPLETE = 0;

    /** The load failed. */
    public static final int FAILED = 1;

    /** Ours: the guest never ran at the destination and never will, so that the source may take it back. */
    public static final int NEVER_RAN = 2;

    private ShutStatus() {}
}
