package io.migrationd.migrationd.relay.tap;

import io.migrationd.protocol.wire.ProtocolException;
import java.nio.ByteBuffer;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * A parser that is handed its input in pieces of any size. What a grammar needs whole (a header, a command) is held
 * back until it is; what it only has to pass over is never copied. The result does not depend on how the input is cut.
 *
 * <p>One thread at a time. {@link #accept} never throws: a parser that does not understand its input is lost.
 */
public abstract class PushParser {
    /** More than any piece that has to be whole: a command has up to 65540 bytes. */
    private static final int MAX_HELD_BYTES = 128 * 1024;
    /** Steps in a row that consume nothing: each changes the state, so more than these are a bug. */
    private static final int MAX_IDLE_STEPS = 8;

    private byte[] held = new byte[512];
    private ByteBuffer heldView = ByteBuffer.wrap(held);
    private int heldCount;
    private int wanted;
    private int idleSteps;
    private long skipLeft;
    private long offset;
    private long received;
    private long unparsedBefore;
    private boolean ended;
    private boolean inputOver;
    private @Nullable String lostReason;
    private long lostOffset;

    PushParser() {}

    /** Watches the bytes from position to limit pass. The buffer is neither kept nor changed, its position included. */
    public final void accept(ByteBuffer bytes) {
        int length = bytes.remaining();
        received += length;
        if (lostReason != null) {
            return;
        }
        try {
            // A duplicate is big-endian, whatever the order of the original.
            parse(bytes.duplicate(), bytes.position(), bytes.limit());
        } catch (ProtocolException e) {
            lose(String.valueOf(e.getMessage()), e.offset());
        } catch (RuntimeException e) {
            lose("a fault of the parser: " + e, offset);
        }
    }

    /** The channel has ended: what was held back for want of more is judged as it is. */
    public final void finish() {
        if (lostReason != null || ended) {
            return;
        }
        try {
            inputOver = true;
            wanted = heldCount;
            parse(heldView, 0, 0);
            if (heldCount == 0 && skipLeft == 0 && lostReason == null) {
                finished();
            }
        } catch (ProtocolException e) {
            lose(String.valueOf(e.getMessage()), e.offset());
        } catch (RuntimeException e) {
            lose("a fault of the parser: " + e, offset);
        }
    }

    /** Present state, reason and counts. */
    public final TapStatus status() {
        boolean lost = lostReason != null;
        TapState state = lost ? TapState.LOST : ended ? TapState.ENDED : TapState.PARSING;
        long at = lost ? lostOffset : offset;
        return new TapStatus(
                state, Optional.ofNullable(lostReason), at, received, unparsedBefore + (lost ? received - at : 0));
    }

    /** All bytes that have passed. */
    public final long bytes() {
        return received;
    }

    /** True once the parser has given up. */
    public final boolean isLost() {
        return lostReason != null;
    }

    private void parse(ByteBuffer in, int start, int limit) throws ProtocolException {
        int at = start;
        while (lostReason == null) {
            if (skipLeft > 0) {
                if (heldCount > 0) {
                    int piece = (int) Math.min(skipLeft, heldCount);
                    skipLeft -= piece;
                    dropHeld(piece);
                } else if (at < limit) {
                    int piece = (int) Math.min(skipLeft, limit - at);
                    skipLeft -= piece;
                    advance(in, at, piece);
                    at += piece;
                } else {
                    return;
                }
            } else if (heldCount > 0) {
                int missing = Math.min(wanted - heldCount, limit - at);
                if (missing > 0) {
                    hold(in, at, missing);
                    at += missing;
                }
                if (heldCount < wanted || !stepHeld()) {
                    if (at == limit) {
                        return;
                    }
                }
            } else if (at < limit) {
                int result = step(in, at, limit);
                if (result >= 0) {
                    requireProgress(result);
                    advance(in, at, result);
                    at += result;
                } else {
                    want(~result, limit - at);
                    hold(in, at, limit - at);
                    at = limit;
                }
            } else {
                return;
            }
        }
    }

    /** False if it takes more bytes than are held. */
    private boolean stepHeld() throws ProtocolException {
        int result = step(heldView, 0, heldCount);
        if (result >= 0) {
            requireProgress(result);
            dropHeld(result);
            return true;
        }
        want(~result, heldCount);
        return false;
    }

    private void requireProgress(int consumed) {
        idleSteps = consumed > 0 || skipLeft > 0 ? 0 : idleSteps + 1;
        if (idleSteps > MAX_IDLE_STEPS) {
            throw new IllegalStateException("the parser stands still");
        }
    }

    private void want(int bytes, int have) {
        if (bytes <= have || bytes > MAX_HELD_BYTES) {
            throw new IllegalStateException("the parser wants " + bytes + " bytes and has " + have);
        }
        wanted = bytes;
        if (held.length < bytes) {
            byte[] larger = new byte[Math.min(MAX_HELD_BYTES, Math.max(bytes, 2 * held.length))];
            System.arraycopy(held, 0, larger, 0, heldCount);
            held = larger;
            heldView = ByteBuffer.wrap(held);
        }
    }

    private void hold(ByteBuffer in, int at, int length) {
        in.get(at, held, heldCount, length);
        heldCount += length;
    }

    private void dropHeld(int length) {
        advance(heldView, 0, length);
        heldCount -= length;
        wanted = heldCount == 0 ? 0 : Math.min(wanted, heldCount);
        System.arraycopy(held, length, held, 0, heldCount);
    }

    private void advance(ByteBuffer in, int at, int length) {
        offset += length;
        passed(in, at, length);
    }

    /**
     * Parses the bytes of {@code in} from {@code at} to {@code limit}, by absolute reads only.
     *
     * @return how many of them were consumed; or, if the next thing is not whole, the complement ({@code ~}) of how
     *     many bytes from {@code at} on it takes
     */
    abstract int step(ByteBuffer in, int at, int limit) throws ProtocolException;

    /** Called for all bytes once they are behind the parser, after the step that consumed them. */
    void passed(ByteBuffer in, int at, int length) {}

    /** Called when the input has ended and nothing of it is left half read. */
    void finished() {}

    /** True once no more input will come. */
    final boolean isInputOver() {
        return inputOver;
    }

    /** Offset of the first byte of the present step; in {@link #passed}, of the byte behind the piece. */
    final long offset() {
        return offset;
    }

    /** Bytes that are held back. */
    final int heldCount() {
        return heldCount;
    }

    /** What is held back, from 0 to {@link #heldCount}. */
    final ByteBuffer heldView() {
        return heldView;
    }

    /** The next {@code length} bytes behind those that this step consumes have no meaning of their own. */
    final void skip(long length) {
        skipLeft = length;
    }

    final long skipLeft() {
        return skipLeft;
    }

    /** Nothing more is expected; more bytes would make the parser lost. */
    final void end() {
        ended = true;
    }

    final boolean isEnded() {
        return ended;
    }

    /** Bytes that are passed over though they were not understood. */
    final void countUnparsed(long length) {
        unparsedBefore += length;
    }

    private void lose(String reason, long at) {
        lostReason = reason;
        lostOffset = Math.min(at, received);
        try {
            lost(lostOffset, reason);
        } catch (RuntimeException e) {
            lostReason = reason + "; and then " + e;
        }
    }

    /** Called once, when the parser gives up. */
    void lost(long offset, String reason) {}
}
