package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.PeerWatch;
import io.migrationd.migrationd.session.ShutStatus;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.postcopy.os.TimeSlice;
import io.migrationd.returnpath.BitmapSizes;
import io.migrationd.returnpath.ReceivedPages;
import java.io.IOException;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.jspecify.annotations.Nullable;

/**
 * What the source does with the return path of a migration that may go over to postcopy, on one connection: queues what
 * is asked for, takes bitmaps over, and notes SHUT. The thread of the return path calls, and never waits here.
 */
final class PostcopyReturnPath extends SourceReturnPath {
    private final SourceConnection connection;
    private final Postcopy postcopy;
    private volatile OptionalInt shutStatus = OptionalInt.empty();
    /** Before postcopy, in a recovery and behind our last byte the destination may say that it is complete. */
    private volatile boolean mayComplete = true;

    private boolean hurried;

    private volatile boolean bitmapsAsked;
    private volatile @Nullable PeerWatch watch;

    PostcopyReturnPath(SourceConnection connection, Postcopy postcopy) {
        super(connection::fail, postcopy.wakeup()::raise);
        this.connection = connection;
        this.postcopy = postcopy;
    }

    /** Begins to read what the destination says. */
    void start() {
        connection.startReturnPath(this, postcopy.limits(), bitmapSizes());
    }

    private BitmapSizes bitmapSizes() {
        return name -> bitmapsAsked
                ? postcopy.pages()
                        .block(name)
                        .map(block -> OptionalLong.of(ReceivedPages.lengthFor(block.pageCount())))
                        .orElse(OptionalLong.empty())
                : OptionalLong.empty();
    }

    /** From now on bitmaps are legal. */
    void bitmapsAsked() {
        bitmapsAsked = true;
    }

    void mayComplete(boolean now) {
        mayComplete = now;
    }

    /** Is told of answers to heartbeats. */
    void watch(PeerWatch told) {
        watch = told;
    }

    /** The status of SHUT, once it has come. */
    OptionalInt shutStatus() {
        return shutStatus;
    }

    @Override
    public void onShut(int status) {
        shutStatus = OptionalInt.of(status);
        if (status != ShutStatus.COMPLETE) {
            super.onShut(status);
        } else if (!mayComplete) {
            connection.fail(new IOException("the destination says that it is complete before it was sent everything"));
        }
        postcopy.wakeup().raise();
    }

    @Override
    public void onPong(int value) {
        PeerWatch told = watch;
        if (value == StreamPings.HEARTBEAT && told != null) {
            told.answered();
        }
        super.onPong(value);
    }

    @Override
    public void onPageRequest(String block, long start, int lengthBytes) {
        if (!hurried) {
            hurried = true;
            TimeSlice.set(TimeSlice.SHORTEST_NANOS);
        }
        postcopy.requested(block, start, lengthBytes);
    }

    @Override
    public void onReceivedBitmap(String block, ReceivedPages received) {
        postcopy.pages().block(block).ifPresent(asked -> postcopy.pages().reload(asked, received));
    }

    @Override
    public void onClosed(Optional<IOException> failure) {
        super.onClosed(failure);
        postcopy.wakeup().raise();
    }
}
