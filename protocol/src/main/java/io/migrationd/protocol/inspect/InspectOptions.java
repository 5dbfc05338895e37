package io.migrationd.protocol.inspect;

import java.util.OptionalInt;
import java.util.OptionalLong;

/**
 * What the capture itself does not say.
 *
 * @param offset where the stream starts in the file; absent: at 0, or else where its header is found
 * @param pageSizeBytes guest page size; absent: what configuration, ADVISE or description say, else 4096
 */
public record InspectOptions(OptionalLong offset, OptionalInt pageSizeBytes) {
    /** Find out everything. */
    public static final InspectOptions DEFAULT = new InspectOptions(OptionalLong.empty(), OptionalInt.empty());
}
