package io.migrationd.protocol.wire;

import java.io.IOException;

/**
 * The peer sent bytes that the wire format does not allow. It names the field or section, the absolute stream offset,
 * what was expected and what came. Checked, because no reader of a stream may forget it.
 */
public final class ProtocolException extends IOException {
    private final String field;
    private final long offset;

    /** {@code offset} counts bytes from the start of the stream and points at the first byte of the offending field. */
    public ProtocolException(String field, long offset, String expected, Object actual) {
        super("%s at offset %d: expected %s, got %s".formatted(field, offset, expected, actual));
        this.field = field;
        this.offset = offset;
    }

    /**
     * As the other constructor, for a local failure (a rejected value, an illegal transition) that the bytes caused.
     */
    public ProtocolException(String field, long offset, String expected, Object actual, Throwable cause) {
        this(field, offset, expected, actual);
        initCause(cause);
    }

    /** The field or section, for example {@code ram.page} or {@code section.footer}. */
    public String field() {
        return field;
    }

    /** Bytes from the start of the stream to the offending field. */
    public long offset() {
        return offset;
    }
}
