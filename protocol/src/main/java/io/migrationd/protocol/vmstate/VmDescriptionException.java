package io.migrationd.protocol.vmstate;

/**
 * A trailing description is not what it should be, or does not fit the bytes. It never fails a migration: the
 * description is a help for readers that don't know the devices.
 */
public final class VmDescriptionException extends Exception {
    /** {@code where} is a path of names, {@code problem} a sentence of facts. */
    public VmDescriptionException(String where, String problem) {
        super(where + ": " + problem);
    }

    /** As the other constructor, for text that is not JSON. */
    public VmDescriptionException(String where, String problem, Throwable cause) {
        super(where + ": " + problem, cause);
    }
}
