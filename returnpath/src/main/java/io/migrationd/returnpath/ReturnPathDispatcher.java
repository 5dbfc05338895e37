package io.migrationd.returnpath;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReturnPathMessage.Pong;
import io.migrationd.returnpath.ReturnPathMessage.ReceivedBitmap;
import io.migrationd.returnpath.ReturnPathMessage.RequestPages;
import io.migrationd.returnpath.ReturnPathMessage.RequestPagesOf;
import io.migrationd.returnpath.ReturnPathMessage.ResumeAck;
import io.migrationd.returnpath.ReturnPathMessage.Shut;
import io.migrationd.returnpath.ReturnPathMessage.SwitchoverAck;
import java.io.Closeable;
import java.io.EOFException;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.event.Level;

/**
 * The source's end of the return path on one connection: owns the thread {@code mig-rp-<session>}, which reads, checks
 * and tells the listener until SHUT or the first error. Nothing is read after SHUT. A recovery makes a new dispatcher
 * for its new connection.
 */
public final class ReturnPathDispatcher implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(ReturnPathDispatcher.class);
    private static final Duration JOIN_TIMEOUT = Duration.ofSeconds(5);

    private final String session;
    private final StreamReader in;
    private final Closeable reverse;
    private final ReturnPathListener listener;
    private final PageRequestLimits limits;
    private final BitmapSizes bitmaps;
    private final ReturnPathReplies replies = new ReturnPathReplies();
    private final Thread thread;

    /** Written by close(), read by the thread to tell our own end from the peer's. */
    private volatile boolean closing;

    /** The block of the last request; only the thread touches it. */
    private @Nullable String lastBlock;

    private ReturnPathDispatcher(
            String session,
            StreamReader in,
            Closeable reverse,
            ReturnPathListener listener,
            PageRequestLimits limits,
            BitmapSizes bitmaps) {
        this.session = session;
        this.in = in;
        this.reverse = reverse;
        this.listener = listener;
        this.limits = limits;
        this.bitmaps = block -> replies.hasReceivedBitmap(block) ? OptionalLong.empty() : bitmaps.expectedBytes(block);
        this.thread = Thread.ofPlatform().name("mig-rp-" + session).unstarted(this::run);
    }

    /**
     * Starts to read.
     *
     * @param in the reverse direction of the main connection; from now on only the dispatcher's thread reads it
     * @param reverse closed by {@link #close}; closing it must make a blocked read of {@code in} end or throw
     */
    public static ReturnPathDispatcher start(
            String session,
            StreamReader in,
            Closeable reverse,
            ReturnPathListener listener,
            PageRequestLimits limits,
            BitmapSizes bitmaps) {
        var dispatcher = new ReturnPathDispatcher(session, in, reverse, listener, limits, bitmaps);
        dispatcher.thread.start();
        return dispatcher;
    }

    /** What has come back, for the migration thread to wait for. */
    public ReturnPathReplies replies() {
        return replies;
    }

    /** Why the return path ended without SHUT; the first reason stays. */
    public Optional<IOException> failure() {
        return replies.failure();
    }

    /**
     * Closes the reverse direction and joins the thread. Whoever still waits for a reply fails. Not to be called by the
     * listener.
     *
     * @throws IllegalStateException if the thread did not stop; its cause has the thread's stack
     */
    @Override
    public void close() throws IOException {
        if (Thread.currentThread() == thread) {
            throw new IllegalStateException("thread " + thread.getName() + " cannot wait for itself");
        }
        closing = true;
        try {
            reverse.close();
        } finally {
            ThreadJoin.join(thread, JOIN_TIMEOUT);
        }
    }

    private void run() {
        Optional<IOException> failure = Optional.empty();
        try {
            readUntilShut();
        } catch (IOException e) {
            failure = Optional.of(closing ? new IOException("this side closed the return path before SHUT", e) : e);
        } catch (RuntimeException | Error e) {
            failure = Optional.of(new IOException("the return path was ended by a bug of this side", e));
            throw e;
        } finally {
            end(failure);
        }
    }

    private void end(Optional<IOException> failure) {
        failure.ifPresentOrElse(
                this::fail,
                () -> log.atInfo()
                        .addKeyValue("session", session)
                        .addKeyValue("offset", in.offset())
                        .addKeyValue("status", replies.shutStatus().orElseThrow())
                        .log("return path shut"));
        listener.onClosed(failure);
    }

    private void fail(IOException failure) {
        replies.fail(failure);
        log.atLevel(closing ? Level.INFO : Level.WARN)
                .addKeyValue("session", session)
                .addKeyValue("offset", in.offset())
                .setCause(failure)
                .log("return path ended without SHUT");
    }

    private void readUntilShut() throws IOException {
        while (replies.shutStatus().isEmpty()) {
            if (in.atEnd()) {
                throw new EOFException("the return path ended without SHUT at offset " + in.offset());
            }
            long at = in.offset();
            dispatch(ReturnPathCodec.decode(in, bitmaps), at);
        }
    }

    /** The listener is told first, so that a woken waiter finds what the listener made of the message. */
    private void dispatch(ReturnPathMessage message, long at) throws ProtocolException {
        switch (message) {
            case Shut(int status) -> {
                listener.onShut(status);
                replies.shut(status);
            }
            case Pong(int value) -> {
                listener.onPong(value);
                replies.pong(value);
            }
            case RequestPagesOf(String block, long start, int lengthBytes) -> {
                lastBlock = block;
                requestPages(block, start, lengthBytes, at);
            }
            case RequestPages(long start, int lengthBytes) ->
                requestPages(requireLastBlock(at), start, lengthBytes, at);
            case ReceivedBitmap(String block, ReceivedPages pages) -> {
                listener.onReceivedBitmap(block, pages);
                replies.receivedBitmap(block);
            }
            case ResumeAck(int value) -> {
                requireGood(value, at);
                listener.onResumeAck();
                replies.resumeAck();
            }
            case SwitchoverAck() -> {
                listener.onSwitchoverAck();
                replies.switchoverAck();
            }
        }
    }

    private void requestPages(String block, long start, int lengthBytes, long at) throws ProtocolException {
        int page = limits.hostPageBytes();
        if (start % page != 0 || lengthBytes % page != 0) {
            throw badRequest(at, "start and length in multiples of " + page, range(start, lengthBytes));
        }
        OptionalLong used = limits.usedBytes(block);
        if (used.isEmpty()) {
            throw badRequest(at, "a block of this guest", "'" + block + "'");
        }
        // Neither side can overflow: start is below 2^63 and the length is positive.
        if (start > used.getAsLong() - lengthBytes) {
            throw badRequest(
                    at,
                    "a range within the %d bytes of '%s'".formatted(used.getAsLong(), block),
                    range(start, lengthBytes));
        }
        listener.onPageRequest(block, start, lengthBytes);
    }

    private String requireLastBlock(long at) throws ProtocolException {
        if (lastBlock == null) {
            throw badRequest(at, "a block's name in the first request of a connection", "REQ_PAGES without one");
        }
        return lastBlock;
    }

    private static void requireGood(int resumeAck, long at) throws ProtocolException {
        if (resumeAck != ResumeAck.GOOD) {
            throw new ProtocolException("rp.resume-ack", at, "value 1", "value " + Integer.toUnsignedString(resumeAck));
        }
    }

    private static ProtocolException badRequest(long at, String expected, String actual) {
        return new ProtocolException("rp.request", at, expected, actual);
    }

    private static String range(long start, int lengthBytes) {
        return "start %d, length %d".formatted(start, lengthBytes);
    }
}
