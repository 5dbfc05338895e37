package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.incoming.IncomingStatus.Event;
import io.migrationd.migrationd.incoming.PostcopyPages.PageCounts;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.Failures;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.PostcopyInfo.Latency;
import io.migrationd.migrationd.session.ShutStatus;
import io.migrationd.postcopy.FaultReport;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.TimeSlice;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReceivedPages;
import io.migrationd.returnpath.ReturnPathSender;
import java.io.EOFException;
import java.io.IOException;
import java.util.HashSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * An incoming migration from LISTEN on. Owns the thread {@code mig-listen-<id>}, which reads the source's main
 * connection, one after the other; {@code mig-urgent-<id>} for each preempt channel; and {@code mig-hello-<id>} for
 * each caller of whom we do not know yet what he wants.
 *
 * <p>Whatever happens to a connection, the guest and its memory stay: the source may come back any number of times, and
 * only its first valid command makes a recovery of it.
 */
final class PostcopyReception implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(PostcopyReception.class);
    private static final int MAX_CANDIDATES = 4;
    private static final int COMMAND = 0x08;
    private static final long JOIN_MILLIS = 10_000;
    private static final long LOOK_MILLIS = 5;
    /** A preempt channel that ends in order may be the end of the migration: the main connection says so in time. */
    private static final long LAST_WORD_NANOS = TimeUnit.SECONDS.toNanos(2);

    private static final long DURABLE_RETRY_NANOS = TimeUnit.SECONDS.toNanos(1);

    private final IncomingRequest request;
    private final Guest guest;
    private final IncomingMemory memory;
    private final ReturnPathSender returnPath;
    private final Owner owner;
    private final PageCounts counts = new PageCounts();
    private final RecoveryLog recoveries = new RecoveryLog();
    private final Sections sections;
    private final Thread listener;

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
        this.listener = Thread.ofPlatform().name("mig-listen-" + request.id()).unstarted(this::listen);
    }

    /** LISTEN: pages may be missing from now on, and the connection is ours. */
    void start(Connection connection) throws IOException {
        main = connection;
        mainSpoke = true;
        memory.start(this::request);
        listener.start();
    }

    /** After a restart of the daemon, and {@code breaks} broken connections: the guest runs, nobody is connected. */
    void startPaused(long breaks) throws IOException {
        run = Run.DONE;
        // Before the start: there is nobody to ask.
        memory.park();
        memory.start(this::request);
        recoveries.countFrom(breaks);
        recordPause("the daemon was restarted", System.nanoTime());
        listener.start();
    }

    private void request(String block, long start, int lengthBytes) throws IOException {
        lock.lock();
        try {
            if (main == null) {
                throw new IOException("there is no connection to the source");
            }
        } finally {
            lock.unlock();
        }
        returnPath.requestPages(block, start, lengthBytes);
    }

    /** The guest will not run here: nobody waits for pages. */
    void stopServing() {
        memory.close();
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
                startThread("mig-urgent-", () -> readUrgent(Connection.of(opened)));
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

    /** A preempt channel that came before LISTEN; whoever heard it out calls {@link #readUrgent}. */
    void adoptUrgent(MigrationChannel opened) {
        lock.lock();
        try {
            urgent = opened;
        } finally {
            lock.unlock();
        }
    }

    private Optional<MigrationChannel> urgent() {
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
            readUrgent(caller);
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

    private void listen() {
        Connection current = main;
        try {
            while (true) {
                if (current != null) {
                    IOException broken = serve(current);
                    if (broken == null || !goOn(current, broken)) {
                        return;
                    }
                }
                current = awaitMain();
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
            lock.lock();
            try {
                ended = true;
                changed.signalAll();
            } finally {
                lock.unlock();
            }
        }
    }

    /** Reads a connection until it breaks; {@code null} when everything is done. */
    private @Nullable IOException serve(Connection connection) throws InterruptedException {
        SourceWatch watch = new SourceWatch(
                connection.channel(), this::urgent, memory, request.recovery().deadPeerMillis());
        try (Links.Watch _ = request.links().watch(connection.channel(), watch::verdict)) {
            connection.channel().serveDirectly();
            readSections(connection, watch);
            requireWord();
            awaitUrgentPages();
            awaitRun();
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

    /** From now on nobody breaks this connection for a reason that can wait. */
    private void requireWord() throws IOException {
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
                    connection.channel().whenEnded(this::sourceGone);
                    log.atError()
                            .addKeyValue("session", request.id())
                            .addKeyValue("guest", guest.name())
                            .setCause(e)
                            .log("everything came and cannot be kept: the source waits");
                }
                owner.delayed(e);
                awaitRetry(e);
            }
        }
    }

    private void awaitRetry(IOException cause) throws IOException, InterruptedException {
        long left = DURABLE_RETRY_NANOS;
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

    private void sourceGone() {
        lock.lock();
        try {
            gone = true;
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void lastWord(Connection connection, boolean isDaemon) {
        lock.lock();
        try {
            ended = true;
            if (urgent != null) {
                urgent.abort(new IOException("every page is here"));
            }
        } finally {
            lock.unlock();
        }
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

    /** A small guest may be complete before it is started. */
    private void awaitRun() throws IOException, InterruptedException {
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

    /** Whether to wait for the source after this connection. */
    private boolean goOn(Connection broken, IOException cause) throws IOException, InterruptedException {
        boolean spoke;
        lock.lock();
        try {
            while (run == Run.PENDING && !closed) {
                // The package is whole, so the guest will run, whatever became of the connection.
                changed.await();
            }
            spoke = mainSpoke;
            main = null;
            mainSpoke = false;
            recovering = false;
            if (urgent != null) {
                urgent.abort(new IOException("the main connection is gone", cause));
                urgent = null;
            }
            if (run == Run.FAILED || closed) {
                broken.close();
                return false;
            }
        } finally {
            lock.unlock();
        }
        broken.channel().abort(cause);
        long lastReceived = broken.channel().lastReceivedNanos();
        broken.close();
        requireGuest(cause);
        if (spoke) {
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
        lock.lock();
        try {
            held |= !request.recovery().auto();
        } finally {
            lock.unlock();
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
        recoveries.paused(cause, lastReceivedNanos);
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

    private @Nullable Connection awaitMain() throws InterruptedException {
        lock.lock();
        try {
            while (next == null && !closed) {
                changed.await();
            }
            if (closed) {
                return null;
            }
            Connection taken = next;
            next = null;
            main = taken;
            mainSpoke = false;
            if (taken != null) {
                returnPath.attach(taken::reply);
                recoveries.connected();
            }
            return taken;
        } finally {
            lock.unlock();
        }
    }

    private void readSections(Connection connection, SourceWatch watch) throws IOException {
        StreamReader in = connection.in();
        PostcopyPages pages = new PostcopyPages(memory, sections.pageSizeBytes(), counts);
        RamSectionDecoder<IncomingBlock> decoder = new RamSectionDecoder<>(sections.pageSizeBytes(), false, pages);
        decoder.postcopyBegins();
        while (true) {
            if (in.atEnd()) {
                throw new EOFException("the source closed the connection");
            }
            StreamElement element = StreamElementCodec.read(in);
            switch (element) {
                case StreamElement.Part(long at, int id) -> readRam(in, decoder, pages, at, id);
                case StreamElement.End(long at, int id) -> readRam(in, decoder, pages, at, id);
                case StreamElement.CommandElement(long at, Command command) -> execute(command, at, watch);
                case StreamElement.EndOfStream(long at) -> {
                    return;
                }
                default ->
                    throw new ProtocolException(
                            "section",
                            in.offset(),
                            "parts of ram in postcopy",
                            element.getClass().getSimpleName());
            }
        }
    }

    private void readRam(
            StreamReader in, RamSectionDecoder<IncomingBlock> decoder, PostcopyPages pages, long at, int id)
            throws IOException {
        SectionTable table = sections.table();
        if (table != null && !table.require(at, id).idstr().equals("ram")) {
            throw new ProtocolException(
                    "section",
                    at,
                    "parts of ram in postcopy",
                    table.require(at, id).idstr());
        }
        requireActive(at);
        decoder.decodeBody(in);
        pages.requireWholePages(in.offset());
        if (sections.footers().isPresent() ? sections.footers().get() : SectionFooter.isNext(in)) {
            SectionFooter.read(in, id, "ram");
        }
    }

    private void requireActive(long at) throws ProtocolException {
        lock.lock();
        try {
            if (!mainSpoke || recovering) {
                throw new ProtocolException("section", at, "POSTCOPY_RESUME before pages", "a section");
            }
        } finally {
            lock.unlock();
        }
    }

    private void execute(Command command, long at, SourceWatch watch) throws IOException {
        switch (command) {
            case Command.Ping(int value) -> {
                watch.ping(value);
                returnPath.sendPong(value);
            }
            case Command.RecvBitmap(String name) -> {
                spoke();
                IncomingBlock block = memory.block(name)
                        .orElseThrow(() -> new ProtocolException(
                                "command RECV_BITMAP", at, "an announced block", "'" + name + "'"));
                returnPath.sendReceivedBitmap(
                        name, ReceivedPages.ofWords(block.received().toWords()));
            }
            case Command.PostcopyResume() -> {
                spoke();
                resume(at);
                watch.askedAgain();
            }
            default ->
                throw new ProtocolException(
                        "command", at, "one of postcopy", command.getClass().getSimpleName());
        }
    }

    /** The first valid command of a source that came back makes a recovery of it. */
    private void spoke() {
        boolean first;
        lock.lock();
        try {
            first = !mainSpoke;
            mainSpoke = true;
            recovering |= first;
            adoptSilentCaller();
        } finally {
            lock.unlock();
        }
        if (first) {
            owner.moved(Event.RECOVER, null);
        }
    }

    private void resume(long at) throws IOException {
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
        counts.firstPageNanos.set(0);
        owner.moved(Event.RESUME, null);
        returnPath.sendResumeAck();
        recoveries.resumed();
        memory.resume();
        log.atInfo()
                .addKeyValue("session", request.id())
                .addKeyValue("guest", guest.name())
                .addKeyValue("pending", memory.report().pending())
                .log("postcopy goes on");
    }

    /** The end of the main connection may overtake pages on the preempt channel. */
    private void awaitUrgentPages() throws IOException, InterruptedException {
        long deadline = System.nanoTime()
                + TimeUnit.MILLISECONDS.toNanos(request.recovery().deadPeerMillis());
        lock.lock();
        try {
            while (!memory.isComplete() && urgent != null && !closed && System.nanoTime() < deadline) {
                boolean _ = changed.await(LOOK_MILLIS, TimeUnit.MILLISECONDS);
            }
        } finally {
            lock.unlock();
        }
        if (!memory.isComplete()) {
            throw new IOException("the source has ended the stream and %d pages are missing"
                    .formatted(missingBytes() / sections.pageSizeBytes()));
        }
    }

    /** Reads a preempt channel to its end. Blocks. */
    void readUrgent(Connection connection) {
        IOException cause;
        TimeSlice.set(TimeSlice.SHORTEST_NANOS);
        try {
            connection.channel().serveDirectly();
            var first = connection.in().peek(1);
            if (first != null && first.get(0) == COMMAND && becomesMain(connection)) {
                return;
            }
            PostcopyPages pages = new PostcopyPages(memory, sections.pageSizeBytes(), counts);
            RamSectionDecoder<IncomingBlock> decoder = new RamSectionDecoder<>(sections.pageSizeBytes(), false, pages);
            decoder.postcopyBegins();
            decoder.decodeChannel(connection.in());
            pages.requireWholePages(connection.in().offset());
            cause = new EOFException("the source closed the preempt channel");
            awaitEnd();
        } catch (IOException e) {
            cause = new IOException("the preempt channel broke", e);
        } catch (RuntimeException e) {
            log.atError().addKeyValue("session", request.id()).setCause(e).log("reading the preempt channel failed");
            cause = new IOException("reading the preempt channel failed", e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return;
        }
        urgentEnded(connection, cause);
    }

    /** What we took for a preempt channel is the source that has come back. */
    private boolean becomesMain(Connection connection) {
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

    private void awaitEnd() throws InterruptedException {
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
    private void urgentEnded(Connection connection, IOException cause) {
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

    /** What has not come yet. */
    long missingBytes() {
        return memory.blocks().stream()
                .mapToLong(block ->
                        (block.received().pageCount() - block.received().cardinality()) * block.targetPageBytes())
                .sum();
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

    long normalPages() {
        return counts.normal.get();
    }

    long zeroPages() {
        return counts.zero.get();
    }

    PostcopyInfo info() {
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
                recoveries.recoveries(counts.firstPageNanos.get()),
                recoveries.count());
    }

    /** Whether its threads are gone. */
    boolean awaitEnd(long millis) throws InterruptedException {
        long left = TimeUnit.MILLISECONDS.toNanos(millis);
        lock.lock();
        try {
            while (threads > 0 && left > 0) {
                left = changed.awaitNanos(left);
            }
        } finally {
            lock.unlock();
        }
        listener.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(left)));
        return !listener.isAlive();
    }

    boolean isAlive() {
        return listener.isAlive();
    }

    /** Ends the threads; what is missing stays missing, and waits for the next daemon. */
    @Override
    public void close() {
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
