package io.migrationd.returnpath;

import io.migrationd.returnpath.ReturnPathMessage.Pong;
import io.migrationd.returnpath.ReturnPathMessage.RequestPages;
import io.migrationd.returnpath.ReturnPathMessage.RequestPagesOf;
import io.migrationd.returnpath.ReturnPathMessage.ResumeAck;
import io.migrationd.returnpath.ReturnPathMessage.Shut;
import io.migrationd.returnpath.ReturnPathMessage.SwitchoverAck;
import java.io.IOException;
import java.nio.ByteBuffer;
import org.jspecify.annotations.Nullable;

/**
 * The destination's end of the return path, for the whole migration. Any thread may send; one lock keeps messages
 * whole. After a failed write the connection is given up, because half a message may be on it: sends fail until
 * {@link #attach} brings a new one. What was lost is for the caller to send again.
 *
 * <p>A send blocks while the connection does. Close the old connection before {@link #attach}, so that a send that is
 * stuck in it lets go of the lock.
 */
public final class ReturnPathSender {
    /** The reverse direction of one connection. */
    @FunctionalInterface
    public interface Outbound {
        /** Writes all of {@code bytes} and flushes, or throws. */
        void write(ByteBuffer bytes) throws IOException;
    }

    private static final int PIECE_WORDS = 8192;

    private final Object lock = new Object();

    // All guarded by lock.
    private @Nullable Outbound outbound;
    private @Nullable IOException broken;
    private @Nullable String lastBlock;
    private boolean switchoverAcked;
    private boolean shut;

    /** Sends on this connection from now on. Its first page request names its block. */
    public void attach(Outbound connection) {
        synchronized (lock) {
            requireNotShut("attach");
            outbound = connection;
            broken = null;
            lastBlock = null;
        }
    }

    /** Answers PING, once everything in front of it has been applied. */
    public void sendPong(int value) throws IOException {
        send("PONG", new Pong(value));
    }

    /** Asks for a range of a block, in the short form if the last request of this connection was for the same block. */
    public void requestPages(String block, long start, int lengthBytes) throws IOException {
        synchronized (lock) {
            if (block.equals(lastBlock)) {
                send("REQ_PAGES", new RequestPages(start, lengthBytes));
            } else {
                send("REQ_PAGES_ID", new RequestPagesOf(block, start, lengthBytes));
                lastBlock = block;
            }
        }
    }

    /** Answers RECV_BITMAP. The words pass through a small buffer, so a bitmap is never in memory twice. */
    public void sendReceivedBitmap(String block, ReceivedPages pages) throws IOException {
        byte[] head = ReturnPathCodec.bitmapHead(block, pages).toByteArray();
        synchronized (lock) {
            requireNotShut("RECV_BITMAP");
            write(ByteBuffer.wrap(head));
            ByteBuffer piece = ByteBuffer.allocate(Math.min(PIECE_WORDS, pages.wordCount()) * Long.BYTES);
            for (int from = 0; from < pages.wordCount(); from += PIECE_WORDS) {
                piece.clear();
                pages.put(piece, from, Math.min(PIECE_WORDS, pages.wordCount() - from));
                write(piece.flip());
            }
            write(ByteBuffer.wrap(ReturnPathCodec.bitmapTail()));
        }
    }

    /** Answers POSTCOPY_RESUME: postcopy goes on. */
    public void sendResumeAck() throws IOException {
        send("RESUME_ACK", new ResumeAck(ResumeAck.GOOD));
    }

    /**
     * Allows the switchover.
     *
     * @throws IllegalStateException if that was sent before
     */
    public void sendSwitchoverAck() throws IOException {
        synchronized (lock) {
            if (switchoverAcked) {
                throw new IllegalStateException("SWITCHOVER_ACK was already sent");
            }
            send("SWITCHOVER_ACK", new SwitchoverAck());
            switchoverAcked = true;
        }
    }

    /** The last message, sent once: every later send is an {@link IllegalStateException}. 0 is good. */
    public void sendShut(int status) throws IOException {
        synchronized (lock) {
            send("SHUT", new Shut(status));
            shut = true;
        }
    }

    private void send(String what, ReturnPathMessage message) throws IOException {
        byte[] bytes = ReturnPathCodec.encode(message);
        synchronized (lock) {
            requireNotShut(what);
            write(ByteBuffer.wrap(bytes));
        }
    }

    private void requireNotShut(String what) {
        if (shut) {
            throw new IllegalStateException(what + " after SHUT");
        }
    }

    private void write(ByteBuffer bytes) throws IOException {
        if (broken != null) {
            throw new IOException("the return path waits for a new connection", broken);
        }
        if (outbound == null) {
            throw new IllegalStateException("no connection was attached to the return path");
        }
        try {
            outbound.write(bytes);
        } catch (IOException e) {
            broken = e;
            throw e;
        }
    }
}
