package io.migrationd.protocol.inspect;

import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.StreamLimits;
import io.migrationd.protocol.vmstate.VmDescription;
import io.migrationd.protocol.vmstate.VmDescriptionException;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * Finds the description at the end of a capture before the stream has been walked, so that device sections can be split
 * by it. The text has no NUL and its length's first byte is one, so the last NUL of the file is just before the text.
 */
final class TrailingDescription {
    private static final int PIECE_BYTES = 64 * 1024;

    private TrailingDescription() {}

    /** The description that ends with the last byte of the input, if there is one that can be used. */
    static Optional<VmDescription> find(InspectInput input) throws IOException {
        long nul = lastNul(input);
        if (nul < 0) {
            return Optional.empty();
        }
        for (long brace = nul + 1; brace <= nul + 4 && brace >= 5; brace++) {
            ByteBuffer head = input.at(brace - 5, 6);
            if (head.remaining() == 6
                    && head.get(0) == DescriptionElement.TYPE
                    && head.getInt(1) == input.size() - brace
                    && head.get(5) == '{') {
                return parse(input.at(brace, head.getInt(1)));
            }
        }
        return Optional.empty();
    }

    private static long lastNul(InspectInput input) throws IOException {
        long lowest = Math.max(0, input.size() - StreamLimits.MAX_DESCRIPTION);
        for (long end = input.size(); end > lowest; end -= PIECE_BYTES) {
            long start = Math.max(lowest, end - PIECE_BYTES);
            ByteBuffer piece = input.at(start, (int) (end - start));
            for (int i = piece.limit() - 1; i >= 0; i--) {
                if (piece.get(i) == 0) {
                    return start + i;
                }
            }
        }
        return -1;
    }

    private static Optional<VmDescription> parse(ByteBuffer text) {
        try {
            return Optional.of(
                    VmDescription.parse(StandardCharsets.ISO_8859_1.decode(text).toString()));
        } catch (VmDescriptionException _) {
            // It is read again, and reported, where the stream has it.
            return Optional.empty();
        }
    }
}
