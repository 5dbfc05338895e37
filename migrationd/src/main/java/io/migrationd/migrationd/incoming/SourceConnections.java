package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The connections of one {@link PostcopyReception}: which is the source's main one, which its preempt channel, who has
 * called and has not said yet what he wants, and what may be done to them now. Starts {@code mig-urgent-<id>} and
 * {@code mig-hello-<id>}. Any thread.
 */
final class SourceConnections {
    private static final Logger log = LoggerFactory.getLogger(SourceConnections.class);
    private static final int MAX_CANDIDATES = 4;
    /** The first byte of a source that comes back. */
    static final int COMMAND = 0x08;

    private static final long LOOK_MILLIS = 5;
    private static final long LAST_WORD_NANOS = TimeUnit.SECONDS.toNanos(2);
    private static final long RETRY_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final IncomingRequest request;
    private final Consumer<Connection> urgentReader;
    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();
    // Guarded by lock.
    private @Nullable Connection main;
    private @Nullable Connection next;
    private @Nullable MigrationChannel urgent;
    private final Set<MigrationChannel> candidates = new HashSet<>();
    private Run run = Run.PENDING;
    /** The source has said something valid on {@link #main}: a preempt channel may follow. */
    private boolean mainSpoke;
    /** Between a source's first word after a pause and its RESUME. */
    private boolean recovering;

    private boolean held;
    /** The source has sent everything and waits for our word; until it has that, a break may let it run again. */
    private boolean wordDue;

    private boolean gone;

    private boolean ended;
    private boolean closed;
    private int threads;

    /** Whether RUN was executed. */
    private enum Run {
        PENDING,
        DONE,
        FAILED
    }

    /** What a main connection that broke leaves behind. */
    enum Lost {
        /** Nobody waits for another. */
        OVER,
        /** The source had not said a word on it. */
        SILENT,
        AFTER_WORDS
    }

    /** {@code urgentReader} reads a preempt channel to its end, on the thread that calls it. */
    SourceConnections(IncomingRequest request, Consumer<Connection> urgentReader) {
        this.request = request;
        this.urgentReader = urgentReader;
    }

    /** LISTEN: the connection is ours. */
    void begin(Connection connection) {
        lock.lock();
        try {
            main = connection;
            mainSpoke = true;
        } finally {
            lock.unlock();
        }
    }

    /** The guest runs, and nobody is connected. */
    void beginPaused() {
        lock.lock();
        try {
            run = Run.DONE;
        } finally {
            lock.unlock();
        }
    }

    Optional<Connection> main() {
        lock.lock();
        try {
            return Optional.ofNullable(main);
        } finally {
            lock.unlock();
        }
    }

    /** RUN was executed, or the guest was not started. */
    void ran(boolean success) {
        lock.lock();
        try {
            run = success ? Run.DONE : Run.FAILED;
            changed.signalAll();
            if (!success && main != null) {
                main.channel().abort(new IOException("the guest was not started here"));
            }
        } finally {
            lock.unlock();
        }
    }

    /** Event loop: a further connection. Must not block. */
    void accepted(MigrationChannel opened) {
        lock.lock();
        try {
            if (closed || held || ended) {
                opened.abort(new IOException(held ? "paused by an operator" : "the migration is over"));
            } else if (wantsUrgent()) {
                urgent = opened;
                startThread("mig-urgent-", () -> urgentReader.accept(Connection.of(opened)));
            } else if (candidates.size() >= MAX_CANDIDATES) {
                opened.abort(new IOException("too many connections"));
            } else {
                candidates.add(opened);
                request.links().later(request.peerSilenceMillis(), () -> dropSilent(opened));
                startThread("mig-hello-", () -> hear(Connection.of(opened)));
            }
        } finally {
            lock.unlock();
        }
    }

    /** A preempt channel that came before LISTEN; whoever heard it out reads it. */
    void adoptUrgent(MigrationChannel opened) {
        lock.lock();
        try {
            urgent = opened;
        } finally {
            lock.unlock();
        }
    }

    /** The preempt channel, if there is one now. */
    Optional<MigrationChannel> urgent() {
        lock.lock();
        try {
            return Optional.ofNullable(urgent);
        } finally {
            lock.unlock();
        }
    }

    private boolean wantsUrgent() {
        return request.capabilities().contains(Capability.POSTCOPY_PREEMPT)
                && urgent == null
                && main != null
                && mainSpoke;
    }

    private void startThread(String name, Runnable body) {
        threads++;
        Thread.ofPlatform().name(name + request.id()).start(() -> {
            try {
                body.run();
            } finally {
                lock.lock();
                try {
                    threads--;
                    changed.signalAll();
                } finally {
                    lock.unlock();
                }
            }
        });
    }

    private void dropSilent(MigrationChannel caller) {
        lock.lock();
        try {
            if (candidates.contains(caller)) {
                caller.abort(
                        new IOException("a caller has sent nothing for %d ms".formatted(request.peerSilenceMillis())));
            }
        } finally {
            lock.unlock();
        }
    }

    /**
     * A caller is the source come back if its first byte is that of a command. A preempt channel may come right behind
     * it, before the source has said a word, and be silent for long.
     */
    private void hear(Connection caller) {
        boolean command = false;
        try {
            var first = caller.in().peek(1);
            command = first != null && first.get(0) == COMMAND;
        } catch (IOException e) {
            log.atDebug().addKeyValue("session", request.id()).setCause(e).log("caller went away");
        }
        if (command && takeOver(caller)) {
            noCandidate(caller);
        } else if (!command && isUrgent(caller)) {
            noCandidate(caller);
            Thread.currentThread().setName("mig-urgent-" + request.id());
            urgentReader.accept(caller);
        } else {
            noCandidate(caller);
            log.atInfo()
                    .addKeyValue("session", request.id())
                    .addKeyValue("peer", caller.channel().peer())
                    .log("caller is not the source; ignored");
            caller.close();
        }
    }

    private void noCandidate(Connection caller) {
        lock.lock();
        try {
            candidates.remove(caller.channel());
        } finally {
            lock.unlock();
        }
    }

    /** Whether a caller that does not speak as a source was taken for our preempt channel. */
    private boolean isUrgent(Connection caller) {
        lock.lock();
        try {
            return caller.channel().equals(urgent);
        } finally {
            lock.unlock();
        }
    }

    /** The source has spoken on its main connection: a caller that came with it and is silent is its second one. */
    private void adoptSilentCaller() {
        if (wantsUrgent() && main != null) {
            MigrationChannel spoke = main.channel();
            candidates.stream()
                    .filter(caller -> !caller.equals(spoke))
                    .findFirst()
                    .ifPresent(caller -> {
                        urgent = caller;
                        candidates.remove(caller);
                    });
        }
    }

    private boolean takeOver(Connection caller) {
        Connection overtaken;
        lock.lock();
        try {
            if (closed || ended || held) {
                return false;
            }
            // An earlier attempt that nobody has looked at yet: the later one counts.
            overtaken = next;
            next = caller;
            if (main != null) {
                main.channel().abort(new IOException("the source came back on another connection"));
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (overtaken != null) {
            discard(overtaken);
        }
        return true;
    }

    private static void discard(Connection unread) {
        unread.channel().abort(new IOException("the source came back once more"));
        unread.close();
    }

    /**
     * The next connection of the source; {@code null} when none will be served any more.
     *
     * @param taken called before anybody can know of it
     */
    @Nullable
    Connection awaitMain(Consumer<Connection> taken) throws InterruptedException {
        lock.lock();
        try {
            while (next == null && !closed) {
                changed.await();
            }
            if (closed) {
                return null;
            }
            Connection come = next;
            next = null;
            main = come;
            mainSpoke = false;
            if (come != null) {
                taken.accept(come);
            }
            return come;
        } finally {
            lock.unlock();
        }
    }

    /** From now on nobody breaks this connection for a reason that can wait. */
    void requireWord() throws IOException {
        lock.lock();
        try {
            if (held || closed) {
                throw new IOException("paused by an operator");
            }
            wordDue = true;
            gone = false;
        } finally {
            lock.unlock();
        }
    }

    /** The source waits for what is tried once more. */
    void awaitRetry(IOException cause) throws IOException, InterruptedException {
        long left = RETRY_NANOS;
        lock.lock();
        try {
            while (left > 0 && !closed && !gone) {
                left = changed.awaitNanos(left);
            }
            if (closed || gone) {
                throw new IOException("the source did not wait until its guest could be kept", cause);
            }
        } finally {
            lock.unlock();
        }
    }

    /** It does not any more. */
    void sourceGone() {
        lock.lock();
        try {
            gone = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /** A small guest may be complete before it is started. */
    void awaitRun() throws IOException, InterruptedException {
        lock.lock();
        try {
            while (run == Run.PENDING && !closed) {
                changed.await();
            }
            if (run != Run.DONE) {
                throw new IOException("the guest was not started here");
            }
        } finally {
            lock.unlock();
        }
    }

    /** The end of the main connection may overtake pages on the preempt channel. */
    void awaitUrgent(BooleanSupplier complete) throws InterruptedException {
        long deadline = System.nanoTime()
                + TimeUnit.MILLISECONDS.toNanos(request.recovery().deadPeerMillis());
        lock.lock();
        try {
            while (!complete.getAsBoolean() && urgent != null && !closed && System.nanoTime() < deadline) {
                boolean _ = changed.await(LOOK_MILLIS, TimeUnit.MILLISECONDS);
            }
        } finally {
            lock.unlock();
        }
    }

    /** Nobody else is served: every page is here. */
    void lastWord() {
        lock.lock();
        try {
            ended = true;
            if (urgent != null) {
                urgent.abort(new IOException("every page is here"));
            }
        } finally {
            lock.unlock();
        }
    }

    /** Nobody reads the main connection any more. */
    void ended() {
        lock.lock();
        try {
            ended = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    /**
     * The main connection broke, and its preempt channel goes with it. Waits until it is known whether the guest runs:
     * the package is whole, so that it will, whatever became of the connection.
     */
    Lost lost(Connection broken, IOException cause) throws InterruptedException {
        lock.lock();
        try {
            while (run == Run.PENDING && !closed) {
                changed.await();
            }
            boolean spoke = mainSpoke;
            main = null;
            mainSpoke = false;
            recovering = false;
            if (urgent != null) {
                urgent.abort(new IOException("the main connection is gone", cause));
                urgent = null;
            }
            if (run == Run.FAILED || closed) {
                broken.close();
                return Lost.OVER;
            }
            return spoke ? Lost.AFTER_WORDS : Lost.SILENT;
        } finally {
            lock.unlock();
        }
    }

    /** Whether pages may come: not between a pause and RESUME. */
    boolean isActive() {
        lock.lock();
        try {
            return mainSpoke && !recovering;
        } finally {
            lock.unlock();
        }
    }

    /** The source has said something valid; whether that is the first time, and makes a recovery of it. */
    boolean spoke() {
        lock.lock();
        try {
            boolean first = !mainSpoke;
            mainSpoke = true;
            recovering |= first;
            adoptSilentCaller();
            return first;
        } finally {
            lock.unlock();
        }
    }

    /** RESUME ends a recovery. */
    void resume(long at) throws ProtocolException {
        lock.lock();
        try {
            if (!recovering) {
                throw new ProtocolException("command POSTCOPY_RESUME", at, "a recovery under way", "none");
            }
            recovering = false;
            // It could not come back if it had run on.
            wordDue = false;
        } finally {
            lock.unlock();
        }
    }

    /** What we took for a preempt channel is the source that has come back. */
    boolean becomesMain(Connection connection) {
        lock.lock();
        try {
            if (connection.channel().equals(urgent)) {
                urgent = null;
            }
        } finally {
            lock.unlock();
        }
        return takeOver(connection);
    }

    /** A preempt channel that ends in order may be the end of the migration: the main connection says so in time. */
    void awaitLastWord() throws InterruptedException {
        long left = LAST_WORD_NANOS;
        lock.lock();
        try {
            while (!ended && !closed && left > 0) {
                left = changed.awaitNanos(left);
            }
        } finally {
            lock.unlock();
        }
    }

    /** One connection without the other is no use: the source does not know what got lost (spec: 07, row 13). */
    void urgentEnded(Connection connection, IOException cause) {
        lock.lock();
        try {
            boolean current = connection.channel().equals(urgent);
            if (current) {
                urgent = null;
            }
            if (current && !ended && main != null) {
                main.channel().abort(cause);
            }
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        connection.channel().abort(cause);
        connection.close();
    }

    /** migrate-pause: breaks the connection and takes none until {@link #release}. False if there is none. */
    boolean pauseByHand() {
        lock.lock();
        try {
            return main != null && run == Run.DONE && !ended && stopTaking();
        } finally {
            lock.unlock();
        }
    }

    /**
     * As {@link #pauseByHand}, also while there is no connection. False when the source has sent everything and waits
     * for our word: it must get that.
     */
    boolean stopTaking() {
        lock.lock();
        try {
            if (main != null && wordDue) {
                return false;
            }
            held = true;
            if (main != null) {
                main.channel().abort(new IOException("paused by an operator"));
            }
            return true;
        } finally {
            lock.unlock();
        }
    }

    /** migrate-recover: the source may come again. */
    void release() {
        lock.lock();
        try {
            held = false;
        } finally {
            lock.unlock();
        }
    }

    /** Takes no other connection until {@link #release}. */
    void hold() {
        lock.lock();
        try {
            held = true;
        } finally {
            lock.unlock();
        }
    }

    /** Whether the source has sent everything; from then on only our SHUT is between it and its end. */
    boolean isWordDue() {
        lock.lock();
        try {
            return wordDue;
        } finally {
            lock.unlock();
        }
    }

    /** Waits until none of its threads is left; what is left of {@code nanos}. */
    long awaitThreads(long nanos) throws InterruptedException {
        long left = nanos;
        lock.lock();
        try {
            while (threads > 0 && left > 0) {
                left = changed.awaitNanos(left);
            }
            return left;
        } finally {
            lock.unlock();
        }
    }

    /** Breaks all; whoever waits here goes on and finds it over. */
    void close() {
        Connection unread;
        lock.lock();
        try {
            closed = true;
            IOException stop = new IOException("the daemon stops");
            for (MigrationChannel candidate : candidates) {
                candidate.abort(stop);
            }
            if (urgent != null) {
                urgent.abort(stop);
            }
            if (main != null && !ended) {
                main.channel().abort(stop);
            }
            unread = next;
            next = null;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
        if (unread != null) {
            discard(unread);
        }
    }
}
