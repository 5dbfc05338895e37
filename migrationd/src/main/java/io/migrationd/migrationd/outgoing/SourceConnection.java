package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.PeerWatch;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.BitmapSizes;
import io.migrationd.returnpath.PageRequestLimits;
import io.migrationd.returnpath.ReturnPathDispatcher;
import io.migrationd.returnpath.ReturnPathListener;
import io.migrationd.returnpath.ReturnPathReplies;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One connection with the destination: its main channel in both directions and, in postcopy, the channel of urgent
 * pages. They live and die together: a source that went on without one of them could end with two running guests.
 */
final class SourceConnection implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(SourceConnection.class);

    private final String session;
    private final MigrationChannel main;
    private final StreamOutput out;
    private final Links links;
    private @Nullable ReturnPathDispatcher returnPath;

    // All guarded by this.
    private @Nullable MigrationChannel urgent;
    private @Nullable IOException failure;
    private boolean keptAfterFailure;
    private boolean urgentMayEnd;
    private final List<Links.Watch> watches = new ArrayList<>();

    SourceConnection(String session, Links links, MigrationChannel main) {
        this.session = session;
        this.links = links;
        this.main = main;
        this.out = new StreamOutput(main);
    }

    /** Begins to read what the destination says. */
    void startReturnPath(ReturnPathListener listener, PageRequestLimits limits, BitmapSizes bitmaps) {
        returnPath = ReturnPathDispatcher.start(
                session, new StreamReader(main.input()), main::close, listener, limits, bitmaps);
    }

    boolean hasReturnPath() {
        return returnPath != null;
    }

    /** What the destination has said. */
    ReturnPathReplies replies() {
        if (returnPath == null) {
            throw new IllegalStateException("the migration has no return path");
        }
        return returnPath.replies();
    }

    MigrationChannel main() {
        return main;
    }

    /** The stream; only the migration thread writes, and in postcopy whom {@link PostcopySender} lets. */
    StreamOutput out() {
        return out;
    }

    /** Adds the channel of urgent pages. */
    synchronized void addUrgent(MigrationChannel channel) throws IOException {
        urgent = channel;
        channel.whenEnded(this::urgentEnded);
        throwIfFailed();
    }

    /** Behind our last byte the destination closes the channel of urgent pages when it likes. */
    synchronized void urgentMayEnd() {
        urgentMayEnd = true;
    }

    private synchronized void urgentEnded() {
        if (!urgentMayEnd) {
            fail(new IOException("the channel of urgent pages was closed"));
        }
    }

    synchronized Optional<MigrationChannel> urgent() {
        return Optional.ofNullable(urgent);
    }

    /** Ends the connection when {@code watch} says that the peer is dead. Replaces the watch before. */
    synchronized void watch(PeerWatch watch, long limitMillis) {
        endWatches();
        watches.add(links.watch(main, watch::verdict));
        if (urgent != null) {
            PeerWatch stuck = new PeerWatch(urgent, limitMillis, System::nanoTime);
            watches.add(links.watch(urgent, stuck::verdict));
        }
    }

    /** Bytes that the sockets have taken. */
    synchronized long bytesSent() {
        return main.bytesSent() + (urgent == null ? 0 : urgent.bytesSent());
    }

    /** Something broke: what is left breaks too. The first cause stays. Any thread. */
    synchronized void fail(IOException cause) {
        if (failure == null) {
            failure = cause;
            notifyAll();
        }
        if (!keptAfterFailure) {
            abortChannels(cause);
        }
    }

    /** As {@link #fail}, in any case: not one more byte leaves. */
    synchronized void abort(IOException cause) {
        keptAfterFailure = false;
        fail(cause);
    }

    private void abortChannels(IOException cause) {
        main.abort(cause);
        if (urgent != null) {
            urgent.abort(cause);
        }
    }

    /** From now on a failure of one direction leaves the other one open. */
    synchronized void keepAfterFailure() {
        keptAfterFailure = true;
    }

    synchronized Optional<IOException> failure() {
        return Optional.ofNullable(failure);
    }

    synchronized void throwIfFailed() throws IOException {
        if (failure != null) {
            throw new IOException("the connection is of no use any more", failure);
        }
    }

    /** Throws as soon as it fails within {@code millis}. */
    synchronized void requireStable(long millis) throws IOException, InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        long left = millis;
        while (failure == null && left > 0) {
            wait(left);
            left = TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime());
        }
        throwIfFailed();
    }

    private void endWatches() {
        watches.forEach(Links.Watch::close);
        watches.clear();
    }

    /** Ends the return path's thread and closes the channels; what was sent gets a moment to leave. */
    @Override
    public void close() {
        MigrationChannel second;
        synchronized (this) {
            endWatches();
            second = urgent;
        }
        if (returnPath != null) {
            try {
                returnPath.close();
            } catch (IOException | IllegalStateException e) {
                log.atWarn().addKeyValue("session", session).setCause(e).log("return path not closed");
            }
        }
        main.close();
        Links.releaseInput(main);
        if (second != null) {
            second.close();
            Links.releaseInput(second);
        }
    }
}
