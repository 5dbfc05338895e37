package io.migrationd.protocol.vmstate;

/**
 * What one section may cost the destination.
 *
 * @param bodyBytes largest body
 * @param elements most elements of one list or tree
 */
public record VmStateLimits(int bodyBytes, int elements) {
    /** 64 MiB and 65536 elements. */
    public static final VmStateLimits DEFAULT = new VmStateLimits(64 << 20, 1 << 16);
}
