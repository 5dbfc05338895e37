package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.incoming.IncomingStatus.Event;
import io.migrationd.migrationd.incoming.PostcopyPages.PageCounts;
import io.migrationd.migrationd.incoming.SourceConnections.Lost;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.session.Failures;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.PostcopyInfo.Latency;
import io.migrationd.migrationd.session.RecoveryLog;
import io.migrationd.migrationd.session.ShutStatus;
import io.migrationd.postcopy.FaultReport;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.TimeSlice;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.returnpath.ReturnPathSender;
import java.io.EOFException;
import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An incoming migration from LISTEN on. Owns the thread {@code mig-listen-<id>}, which reads the source's main
 * connection, one after the other; {@link SourceConnections} knows which that is.
 *
 * <p>Whatever happens to a connection, the guest and its memory stay: the source may come back any number of times, and
 * only its first valid command makes a recovery of it.
 */
final class PostcopyReception implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(PostcopyReception.class);
    private static final long JOIN_MILLIS = 10_000;

    private final IncomingRequest request;
    private final Guest guest;
    private final IncomingMemory memory;
    private final ReturnPathSender returnPath;
    private final Owner owner;
    private final PageCounts counts = new PageCounts();
    private final RecoveryLog recoveries = new RecoveryLog();
    private final Sections sections;
    private final SourceConnections connections;
    private final MainReader reader;
    private final Thread listener;

    /** Who keeps the status. */
    interface Owner {
        /** Moves the status on. */
        void moved(Event event, @Nullable Throwable cause);

        /** Every page is here. Makes it durable. */
        void complete() throws IOException;

        /** That failed and is tried again, with the source kept waiting. */
        void delayed(IOException cause);

        /** The source has heard of the end. */
        void sourceKnows();
    }

    /**
     * What sections of the stream are called; shared with the package's reader.
     *
     * @param table {@code null} after a restart: RAM is then the only section that can come
     */
    record Sections(@Nullable SectionTable table, Optional<Boolean> footers, int pageSizeBytes) {}

    PostcopyReception(
            IncomingRequest request,
            IncomingMemory memory,
            ReturnPathSender returnPath,
            Sections sections,
            Owner owner) {
        this.request = request;
        this.guest = request.guest();
        this.memory = memory;
        this.returnPath = returnPath;
        this.sections = sections;
        this.owner = owner;
        this.connections = new SourceConnections(request, this::readUrgent);
        this.reader = new MainReader(memory, returnPath, sections, counts, new Resumption());
        this.listener = Thread.ofPlatform().name("mig-listen-" + request.id()).unstarted(this::listen);
    }

    /** LISTEN: pages may be missing from now on, and the connection is ours. */
    void start(Connection connection) throws IOException {
        connections.begin(connection);
        memory.start(this::request);
        listener.start();
    }

    /** After a restart of the daemon, and {@code breaks} broken connections: the guest runs, nobody is connected. */
    void startPaused(long breaks) throws IOException {
        connections.beginPaused();
        // Before the start: there is nobody to ask.
        memory.park();
        memory.start(this::request);
        recoveries.countFrom(breaks);
        recordPause("the daemon was restarted", System.nanoTime());
        listener.start();
    }

    private void request(String block, long start, int lengthBytes) throws IOException {
        if (connections.main().isEmpty()) {
            throw new IOException("there is no connection to the source");
        }
        returnPath.requestPages(block, start, lengthBytes);
    }

    /** Which connections there are, and what operators may do to them. */
    SourceConnections connections() {
        return connections;
    }

    /** The guest will not run here: nobody waits for pages. */
    void stopServing() {
        memory.close();
    }

    private void listen() {
        Connection current = connections.main().orElse(null);
        try {
            while (true) {
                if (current != null) {
                    IOException broken = serve(current);
                    if (broken == null || !goOn(current, broken)) {
                        return;
                    }
                }
                current = connections.awaitMain(this::connected);
                if (current == null) {
                    return;
                }
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } catch (IOException e) {
            log.atError().addKeyValue("session", request.id()).setCause(e).log("postcopy cannot go on");
            owner.moved(Event.FAIL, e);
        } finally {
            connections.ended();
        }
    }

    private void connected(Connection taken) {
        returnPath.attach(taken::reply);
        recoveries.attempt();
        recoveries.connected(System.nanoTime());
    }

    /** Reads a connection until it breaks; {@code null} when everything is done. */
    private @Nullable IOException serve(Connection connection) throws InterruptedException {
        SourceWatch watch = new SourceWatch(
                connection.channel(),
                connections::urgent,
                memory,
                request.recovery().deadPeerMillis());
        try (Links.Watch _ = request.links().watch(connection.channel(), watch::verdict)) {
            connection.channel().keepInputShort();
            connection.channel().serveDirectly();
            reader.readToEnd(connection, watch);
            connections.requireWord();
            // The end of the main connection may overtake pages on the preempt channel.
            connections.awaitUrgent(memory::isComplete);
            requireComplete();
            connections.awaitRun();
            memory.finish();
            makeDurable(connection);
        } catch (IOException e) {
            return e;
        } catch (RuntimeException e) {
            // The guest runs: a bug in here must not take its memory away.
            log.atError().addKeyValue("session", request.id()).setCause(e).log("reading the stream failed");
            return new IOException("reading the stream failed", e);
        }
        lastWord(connection, watch.isDaemon());
        return null;
    }

    private void requireComplete() throws IOException {
        if (!memory.isComplete()) {
            throw new IOException("the source has ended the stream and %d pages are missing"
                    .formatted(missingBytes() / sections.pageSizeBytes()));
        }
    }

    /**
     * A disk that is full or broken must not make us let go of the source: a QEMU of 10.0 and later takes a break here
     * for a failure and runs its old copy (spec: 07, row 18). Nothing runs on a parked guest, so that there is time.
     */
    private void makeDurable(Connection connection) throws IOException, InterruptedException {
        boolean waiting = false;
        while (true) {
            try {
                guest.completeIncoming();
                owner.complete();
                return;
            } catch (IOException e) {
                if (guest.kind() != GuestKind.PARKED) {
                    throw e;
                }
                if (!waiting) {
                    waiting = true;
                    connection.channel().whenEnded(connections::sourceGone);
                    log.atError()
                            .addKeyValue("session", request.id())
                            .addKeyValue("guest", guest.name())
                            .setCause(e)
                            .log("everything came and cannot be kept: the source waits");
                }
                owner.delayed(e);
                connections.awaitRetry(e);
            }
        }
    }

    private void lastWord(Connection connection, boolean isDaemon) {
        connections.lastWord();
        try {
            returnPath.sendShut(ShutStatus.COMPLETE);
            if (EndAnswers.isHeard(connection, isDaemon)) {
                owner.sourceKnows();
            }
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("session", request.id())
                    .setCause(e)
                    .log("the source was not told; it will be when it calls");
        }
        connection.close();
    }

    /** Whether to wait for the source after this connection. */
    private boolean goOn(Connection broken, IOException cause) throws IOException, InterruptedException {
        Lost lost = connections.lost(broken, cause);
        if (lost == Lost.OVER) {
            return false;
        }
        broken.channel().abort(cause);
        long lastReceived = broken.channel().lastReceivedNanos();
        broken.close();
        requireGuest(cause);
        if (lost == Lost.AFTER_WORDS) {
            pause(cause, lastReceived);
        } else {
            log.atInfo()
                    .addKeyValue("session", request.id())
                    .setCause(cause)
                    .log("the source came and went; still paused");
        }
        return true;
    }

    private void pause(IOException cause, long lastReceivedNanos) {
        if (!request.recovery().auto()) {
            connections.hold();
        }
        memory.park();
        recordPause(Failures.describe(cause), lastReceivedNanos);
        log.atWarn()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .setCause(cause)
                .log("postcopy paused; the guest runs on until it needs a page");
        owner.moved(Event.PAUSE, cause);
    }

    private void recordPause(String cause, long lastReceivedNanos) {
        noticeFirstPage();
        recoveries.paused(cause, lastReceivedNanos, System.nanoTime());
        try {
            request.acceptance().broken(recoveries.count());
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("session", request.id())
                    .setCause(e)
                    .log("the break was not recorded; a restarted daemon counts one less");
        }
    }

    /** A VMM that has died takes the guest with it: there is nobody to wait for pages. */
    private static void requireGuest(IOException cause) throws IOException {
        for (Throwable t = cause; t != null; t = t.getCause()) {
            if (t instanceof ErrnoException refusal && refusal.errno() == Errno.ESRCH) {
                throw new IOException("the guest's process has ended before its RAM was complete", cause);
            }
        }
    }

    /** What the source's commands make of the migration; the listening thread calls. */
    private final class Resumption implements MainReader.Session {
        @Override
        public boolean isActive() {
            return connections.isActive();
        }

        @Override
        public void spoke() {
            if (connections.spoke()) {
                owner.moved(Event.RECOVER, null);
            }
        }

        @Override
        public void resume(long at) throws IOException {
            connections.resume(at);
            counts.firstPageNanos.set(0);
            owner.moved(Event.RESUME, null);
            // Pages may come on the answer's heels.
            recoveries.resumed(System.nanoTime());
            returnPath.sendResumeAck();
            memory.resume();
            log.atInfo()
                    .addKeyValue("session", request.id())
                    .addKeyValue("guest", guest.name())
                    .addKeyValue("pending", memory.report().pending())
                    .log("postcopy goes on");
        }
    }

    /** Reads a preempt channel to its end. Blocks. */
    void readUrgent(Connection connection) {
        IOException cause;
        TimeSlice.set(TimeSlice.SHORTEST_NANOS);
        try {
            connection.channel().serveDirectly();
            var first = connection.in().peek(1);
            if (first != null && first.get(0) == SourceConnections.COMMAND && connections.becomesMain(connection)) {
                return;
            }
            PostcopyPages pages = new PostcopyPages(memory, sections.pageSizeBytes(), counts);
            RamSectionDecoder<IncomingBlock> decoder = new RamSectionDecoder<>(sections.pageSizeBytes(), false, pages);
            decoder.postcopyBegins();
            decoder.decodeChannel(connection.in());
            pages.requireWholePages(connection.in().offset());
            cause = new EOFException("the source closed the preempt channel");
            connections.awaitLastWord();
        } catch (IOException e) {
            cause = new IOException("the preempt channel broke", e);
        } catch (RuntimeException e) {
            log.atError().addKeyValue("session", request.id()).setCause(e).log("reading the preempt channel failed");
            cause = new IOException("reading the preempt channel failed", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return;
        }
        connections.urgentEnded(connection, cause);
    }

    /** What has not come yet. */
    long missingBytes() {
        return memory.blocks().stream()
                .mapToLong(block ->
                        (block.received().pageCount() - block.received().cardinality()) * block.targetPageBytes())
                .sum();
    }

    long normalPages() {
        return counts.normal.get();
    }

    long zeroPages() {
        return counts.zero.get();
    }

    PostcopyInfo info() {
        noticeFirstPage();
        FaultReport faults = memory.report();
        return new PostcopyInfo(
                faults.requests(),
                faults.pending(),
                null,
                null,
                null,
                new Latency(
                        faults.faults(),
                        faults.meanMicros(),
                        faults.p50Micros(),
                        faults.p99Micros(),
                        faults.maxMicros(),
                        faults.buckets()),
                faults.blocktimeMillis(),
                faults.threadBlocktimeMillis(),
                recoveries.last(),
                recoveries.count());
    }

    /** Pages are placed without a look at the log: whoever wants to see it brings it up to date. */
    private void noticeFirstPage() {
        long firstPage = counts.firstPageNanos.get();
        if (firstPage != 0) {
            var _ = recoveries.firstPage(firstPage);
        }
    }

    /** Whether its threads are gone. */
    boolean awaitEnd(long millis) throws InterruptedException {
        long left = connections.awaitThreads(TimeUnit.MILLISECONDS.toNanos(millis));
        listener.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(left)));
        return !listener.isAlive();
    }

    boolean isAlive() {
        return listener.isAlive();
    }

    /** Ends the threads; what is missing stays missing, and waits for the next daemon. */
    @Override
    public void close() {
        connections.close();
        try {
            if (!awaitEnd(JOIN_MILLIS)) {
                log.atError()
                        .addKeyValue("session", request.id())
                        .addKeyValue("thread", listener.getName())
                        .log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        memory.close();
    }
}
