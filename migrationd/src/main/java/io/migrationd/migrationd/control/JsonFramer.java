package io.migrationd.migrationd.control;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.BitSet;
import org.jspecify.annotations.Nullable;

/**
 * Cuts a stream of bytes into JSON values, which need nothing between them. It knows strings and brackets, no more:
 * what is in a value is the parser's business.
 *
 * <p>A byte that cannot be part of JSON (a control character other than tab, CR and LF, or 0xF8 to 0xFF) is one error
 * and sets the framer back, wherever it stood: a client that lost its place sends one. Other garbage is one error and
 * is skipped up to the next control character or such byte. Source: docs/interop/qmp-spec.rst, "Forcing the JSON parser
 * into known-good state".
 */
final class JsonFramer {
    /** What was cut off. */
    sealed interface Frame {
        /** One value; its brackets match. */
        record Value(byte[] bytes) implements Frame {}

        /** Bytes that are no value; the text says why. */
        record Garbage(String reason) implements Frame {}
    }

    private enum State {
        /** Between values. */
        BETWEEN,
        /** In a value, outside of strings. */
        INSIDE,
        /** In a value that is a bare word or a number. */
        WORD,
        STRING,
        /** Behind a backslash in a string. */
        ESCAPE,
        /** In garbage that was reported. */
        SKIPPING
    }

    private final int maxBytes;
    private final int maxNesting;
    /** One bit per open bracket: set for a brace. */
    private final BitSet braces = new BitSet();

    private ByteArrayOutputStream value = new ByteArrayOutputStream();
    private State state = State.BETWEEN;
    private int depth;
    private byte quote;

    JsonFramer(int maxBytes, int maxNesting) {
        this.maxBytes = maxBytes;
        this.maxNesting = maxNesting;
    }

    /** The next frame of {@code input}; {@code null} when all of it was taken and none is complete. */
    @Nullable
    Frame next(ByteBuffer input) {
        while (input.hasRemaining()) {
            byte b = input.get();
            Frame frame = switch (state) {
                case BETWEEN -> between(b);
                case INSIDE -> inside(b);
                case WORD -> word(b, input);
                case STRING, ESCAPE -> string(b);
                case SKIPPING -> skipping(b);
            };
            if (frame != null) {
                return frame;
            }
        }
        return null;
    }

    private @Nullable Frame between(byte b) {
        if (isSpace(b)) {
            return null;
        }
        if (resets(b)) {
            return reset("invalid byte " + hex(b));
        }
        if (b == '"' || b == '\'') {
            quote = b;
            state = State.STRING;
            return keep(b);
        }
        if (b == '{' || b == '[') {
            return open(b);
        }
        if (isWord(b)) {
            state = State.WORD;
            return keep(b);
        }
        return skip("stray '" + (char) (b & 0x7f) + "'");
    }

    private @Nullable Frame inside(byte b) {
        if (resets(b)) {
            return reset("invalid byte " + hex(b));
        }
        return switch (b) {
            case '{', '[' -> open(b);
            case '}', ']' -> close(b);
            case '"', '\'' -> {
                quote = b;
                state = State.STRING;
                yield keep(b);
            }
            default -> keep(b);
        };
    }

    private @Nullable Frame word(byte b, ByteBuffer input) {
        if (isWord(b)) {
            return keep(b);
        }
        // It belongs to what follows.
        input.position(input.position() - 1);
        return complete();
    }

    private @Nullable Frame string(byte b) {
        if (isControl(b) || resets(b)) {
            return reset("invalid byte " + hex(b) + " in a string");
        }
        if (state == State.ESCAPE) {
            state = State.STRING;
        } else if (b == '\\') {
            state = State.ESCAPE;
        } else if (b == quote) {
            state = State.INSIDE;
            Frame tooLong = keep(b);
            return tooLong == null && depth == 0 ? complete() : tooLong;
        }
        return keep(b);
    }

    private @Nullable Frame skipping(byte b) {
        if (isControl(b) || resets(b)) {
            clear();
        }
        return null;
    }

    private @Nullable Frame open(byte bracket) {
        if (depth == maxNesting) {
            return skip("nested deeper than " + maxNesting);
        }
        braces.set(depth++, bracket == '{');
        state = State.INSIDE;
        return keep(bracket);
    }

    private @Nullable Frame close(byte bracket) {
        if (braces.get(depth - 1) != (bracket == '}')) {
            return skip("unmatched '" + (char) bracket + "'");
        }
        depth--;
        Frame tooLong = keep(bracket);
        return tooLong == null && depth == 0 ? complete() : tooLong;
    }

    private @Nullable Frame keep(byte b) {
        if (value.size() == maxBytes) {
            return skip("message longer than " + maxBytes + " bytes");
        }
        value.write(b);
        return null;
    }

    private Frame complete() {
        byte[] bytes = value.toByteArray();
        clear();
        return new Frame.Value(bytes);
    }

    private Frame skip(String reason) {
        clear();
        state = State.SKIPPING;
        return new Frame.Garbage(reason);
    }

    private Frame reset(String reason) {
        clear();
        return new Frame.Garbage(reason);
    }

    private void clear() {
        // Not reset: that would keep the room of the largest message for as long as the client stays.
        value = new ByteArrayOutputStream();
        depth = 0;
        state = State.BETWEEN;
    }

    private static boolean isSpace(byte b) {
        return b == ' ' || b == '\t' || b == '\r' || b == '\n';
    }

    /** UTF-8 has no use for 0xF8 and above. */
    private static boolean resets(byte b) {
        return (isControl(b) && !isSpace(b)) || (b & 0xf8) == 0xf8;
    }

    private static boolean isWord(byte b) {
        return (b >= '0' && b <= '9')
                || (b >= 'a' && b <= 'z')
                || (b >= 'A' && b <= 'Z')
                || b == '-'
                || b == '+'
                || b == '.';
    }

    private static boolean isControl(byte b) {
        return b >= 0 && b < ' ';
    }

    private static String hex(byte b) {
        return "0x%02x".formatted(b & 0xff);
    }
}
