package io.migrationd.protocol.wire;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.jspecify.annotations.Nullable;

/**
 * Blocking big-endian cursor over a stream whose parts carry no length. It hands page data out in place: a page that
 * lies within one chunk is not copied. A short read is always a {@link ProtocolException}, never zeroes.
 *
 * <p>Not thread-safe: one thread reads a stream.
 */
public final class StreamReader {
    /** The largest piece that {@link #slice} and {@link #peek} can hand out. */
    public static final int MAX_SLICE = 64 * 1024;

    private static final ByteBuffer EMPTY = ByteBuffer.allocate(0);

    private final ChunkSource source;
    /** For pieces that lie in more than one chunk; many a reader never meets one. */
    private @Nullable ByteBuffer carry;

    private ByteBuffer current = EMPTY;
    private boolean currentIsCarry;
    /** What follows {@code current} while {@code current} is the carry buffer. */
    private ByteBuffer pending = EMPTY;
    /** Stream offset of the byte behind {@code current} and {@code pending}. */
    private long fetched;

    private boolean ended;

    /** A reader whose first byte has offset 0. */
    public StreamReader(ChunkSource source) {
        this(source, 0);
    }

    /** A reader whose first byte has offset {@code streamOffset}: a blob within a stream, or a stream within a file. */
    public StreamReader(ChunkSource source, long streamOffset) {
        this.source = source;
        this.fetched = streamOffset;
    }

    /** A reader over bytes that are all there. */
    public static StreamReader of(byte[] bytes) {
        return new StreamReader(ChunkSource.of(ByteBuffer.wrap(bytes)));
    }

    /** Absolute offset of the next byte. */
    public long offset() {
        return fetched - current.remaining() - pending.remaining();
    }

    /** True when no byte is left. Blocks until there is one or the input ends. */
    public boolean atEnd() throws IOException {
        return !has(1);
    }

    /** Bytes that can be read without waiting for the source. */
    public int buffered() {
        return current.remaining() + pending.remaining();
    }

    /** Reads u8. */
    public int readU8(String field) throws IOException {
        return Byte.toUnsignedInt(require(field, Byte.BYTES).get());
    }

    /** Reads be16. */
    public int readU16(String field) throws IOException {
        return Short.toUnsignedInt(require(field, Short.BYTES).getShort());
    }

    /** Reads be32 as it is. */
    public int readInt(String field) throws IOException {
        return require(field, Integer.BYTES).getInt();
    }

    /** Reads be32, widened. */
    public long readU32(String field) throws IOException {
        return Integer.toUnsignedLong(readInt(field));
    }

    /** Reads be64. */
    public long readLong(String field) throws IOException {
        return require(field, Long.BYTES).getLong();
    }

    /** Reads u8 n and n bytes, each byte one char; n = 0 is an error. */
    public String readName(String field) throws IOException {
        long at = offset();
        int length = readU8(field);
        if (length == 0) {
            throw new ProtocolException(field, at, "a name of 1 to 255 bytes", "an empty one");
        }
        return Names.fromWire(readBytes(field, length, Names.MAX_LENGTH));
    }

    /**
     * Reads {@code length} bytes into a new array.
     *
     * @param limit more than this is refused before anything is allocated
     */
    public byte[] readBytes(String field, long length, int limit) throws IOException {
        if (length < 0 || length > limit) {
            throw new ProtocolException(field, offset(), "at most " + limit + " bytes", length + " bytes");
        }
        // A length that the peer only claims is not worth memory yet: grow with what really came.
        byte[] bytes = new byte[(int) Math.min(length, MAX_SLICE)];
        int done = 0;
        while (done < length) {
            if (done == bytes.length) {
                bytes = java.util.Arrays.copyOf(bytes, (int) Math.min(length, 2L * bytes.length));
            }
            int piece = Math.min(bytes.length - done, MAX_SLICE);
            require(field, piece).get(bytes, done, piece);
            done += piece;
        }
        return bytes;
    }

    /**
     * The next {@code length} bytes (at most {@link #MAX_SLICE}), consumed, in place where possible. Position to limit
     * of the returned buffer is the piece; it is valid until the next call of any method of this reader.
     */
    public ByteBuffer slice(String field, int length) throws IOException {
        ByteBuffer at = require(field, length);
        int start = at.position();
        at.position(start + length);
        return at.slice(start, length);
    }

    /**
     * As many whole records of {@code recordLength} bytes as are buffered, at least one and at most {@code maxRecords},
     * without consuming them: position to limit. Valid until the next call. Consume with {@link #skipBuffered}.
     */
    public ByteBuffer peekRecords(String field, int recordLength, int maxRecords) throws IOException {
        ByteBuffer at = require(field, recordLength);
        int records = Math.min(at.remaining() / recordLength, maxRecords);
        return at.slice(at.position(), records * recordLength).order(ByteOrder.BIG_ENDIAN);
    }

    /** The buffer that holds the next byte, read only by convention: position is the cursor. For loops over records. */
    public ByteBuffer window(String field, int atLeast) throws IOException {
        return require(field, atLeast);
    }

    /** Consumes {@code length} bytes that a peek has shown. */
    public void skipBuffered(int length) {
        current.position(current.position() + length);
    }

    /** The next {@code length} bytes without consuming them, or {@code null} if the input ends before. */
    public @Nullable ByteBuffer peek(int length) throws IOException {
        if (!has(length)) {
            return null;
        }
        return current.slice(current.position(), length).order(ByteOrder.BIG_ENDIAN);
    }

    /** Reads and drops {@code length} bytes. */
    public void skip(String field, long length) throws IOException {
        long left = length;
        while (left > 0) {
            ByteBuffer at = require(field, 1);
            int piece = (int) Math.min(left, at.remaining());
            at.position(at.position() + piece);
            left -= piece;
        }
    }

    private ByteBuffer require(String field, int length) throws IOException {
        if (current.remaining() >= length || has(length)) {
            return current;
        }
        throw new ProtocolException(field, offset(), length + " bytes", "end of input after " + buffered() + " bytes");
    }

    private boolean has(int length) throws IOException {
        if (current.remaining() >= length) {
            return true;
        }
        if (length > MAX_SLICE) {
            throw new IllegalArgumentException("a piece of " + length + " bytes is above " + MAX_SLICE);
        }
        if (!current.hasRemaining() && pending.hasRemaining()) {
            promotePending();
            return has(length);
        }
        if (!current.hasRemaining()) {
            if (!fetch()) {
                return false;
            }
            promotePending();
            if (current.remaining() >= length) {
                return true;
            }
        }
        return fillCarry(length);
    }

    private void promotePending() {
        current = pending;
        currentIsCarry = false;
        pending = EMPTY;
    }

    private boolean fillCarry(int length) throws IOException {
        ByteBuffer carry = carry();
        if (currentIsCarry) {
            carry.compact();
        } else {
            // What is left of a chunk dies with the next call of the source: keep it first.
            carry.clear();
            carry.put(current);
        }
        current = carry;
        currentIsCarry = true;
        boolean enough = true;
        while (carry.position() < length) {
            if (!pending.hasRemaining()) {
                // offset() must stay right if the source fails.
                carry.flip();
                boolean more = fetch();
                carry.position(carry.limit()).limit(carry.capacity());
                if (!more) {
                    enough = false;
                    break;
                }
            }
            int piece = Math.min(length - carry.position(), pending.remaining());
            carry.put(pending.slice(pending.position(), piece));
            pending.position(pending.position() + piece);
        }
        carry.flip();
        carry.order(ByteOrder.BIG_ENDIAN);
        return enough;
    }

    private ByteBuffer carry() {
        ByteBuffer made = carry;
        if (made == null) {
            made = ByteBuffer.allocateDirect(MAX_SLICE);
            carry = made;
        }
        return made;
    }

    private boolean fetch() throws IOException {
        if (ended) {
            return false;
        }
        ByteBuffer chunk = source.next();
        if (chunk == null) {
            ended = true;
            return false;
        }
        pending = chunk.order(ByteOrder.BIG_ENDIAN);
        fetched += pending.remaining();
        return true;
    }
}
