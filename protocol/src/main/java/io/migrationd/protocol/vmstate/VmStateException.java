package io.migrationd.protocol.vmstate;

/**
 * Local state can't be saved or doesn't make sense after loading: a hook refused, a count is above its capacity. On the
 * source it aborts the migration; on the destination it is the cause of a
 * {@link io.migrationd.protocol.wire.ProtocolException}.
 */
public final class VmStateException extends Exception {
    /** {@code where} is a description or one of its fields. */
    public VmStateException(String where, String problem) {
        super(where + ": " + problem);
    }
}
