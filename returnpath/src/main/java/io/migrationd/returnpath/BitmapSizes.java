package io.migrationd.returnpath;

import java.util.OptionalLong;

/** Says which bitmaps the source waits for, so that none is read whose size it has not computed itself. */
@FunctionalInterface
public interface BitmapSizes {
    /** A source that is not in recovery: every bitmap is an error. */
    BitmapSizes NONE_AWAITED = _ -> OptionalLong.empty();

    /**
     * The length in bytes of the bitmap of {@code block}, {@link ReceivedPages#lengthFor} of its used pages; empty if
     * there is no such block or no bitmap of it was asked for.
     */
    OptionalLong expectedBytes(String block);
}
