package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.PeerWatch;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import java.io.IOException;
import java.time.Duration;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.ReentrantLock;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends what is left over one connection, to the end or until it breaks: pages that the guest waits for first, then
 * those right behind them, then all others. Migration thread; but without a channel of urgent pages, and while that
 * thread has nothing to send, whoever brings a request sends the page at once: to wake another thread would take longer
 * than that.
 */
final class PostcopySender {
    private static final Logger log = LoggerFactory.getLogger(PostcopySender.class);
    private static final long PART_NANOS = TimeUnit.MILLISECONDS.toNanos(50);
    private static final long PART_BYTES = 1 << 20;
    /** What nobody waits for goes in small pieces, when a page that somebody waits for may have to queue behind it. */
    private static final int SMALL_RUN_BYTES = 64 * 1024;

    private static final int FEW_BUFFERS = 3;
    private static final int MANY_BUFFERS = 6;
    private static final Duration SHUT_POLL = Duration.ofSeconds(1);

    private final OutgoingParts parts;
    private final Postcopy postcopy;
    private final SourceConnection connection;
    private final PostcopyReturnPath returnPath;
    private final @Nullable UrgentSender urgent;
    private final StreamOutput out;
    private final PostcopyStream stream;
    private final PeerWatch watch;
    private final Heartbeat heartbeat;
    private final PageWriter writer;
    private final int mostPages;
    private final RateLimiter limiter = new RateLimiter(System.nanoTime());
    /** Held while a section or a PING is written, and from before a page is claimed until the socket has it. */
    private final ReentrantLock sending = new ReentrantLock();

    // Guarded by sending while the page queue is served here.
    private final PageRun run = new PageRun();
    /** Why {@link #run} is sent. */
    private Cause cause = Cause.BACKGROUND;

    /** All but what somebody waited for. */
    private long limitedBytes;

    private boolean firstSent;
    /** Whether {@link #serve} may send. */
    private boolean serving;

    private enum Cause {
        /** Somebody waits for it. */
        URGENT,
        /** It lies behind what somebody waited for. */
        NEAR,
        BACKGROUND
    }

    /**
     * For one connection.
     *
     * @param urgent who serves the page queue, {@code null} if the migration thread does
     */
    PostcopySender(
            OutgoingParts parts,
            Postcopy postcopy,
            SourceConnection connection,
            PostcopyReturnPath returnPath,
            @Nullable UrgentSender urgent)
            throws IOException {
        this.parts = parts;
        this.postcopy = postcopy;
        this.connection = connection;
        this.returnPath = returnPath;
        this.urgent = urgent;
        this.out = connection.out();
        this.stream = new PostcopyStream(out, parts.request().ramSectionId());
        long limitMillis = parts.request().recovery().deadPeerMillis();
        this.watch = new PeerWatch(connection.main(), limitMillis, System::nanoTime);
        this.heartbeat = new Heartbeat(stream, watch, parts.request().recovery(), System.nanoTime());
        this.writer = parts.ram().postcopyWriter();
        int pageSize = parts.request().guest().targetPageSizeBytes();
        this.mostPages = urgent == null ? Math.max(1, SMALL_RUN_BYTES / pageSize) : PageWriter.maxRun(pageSize);
        returnPath.watch(watch);
        connection.watch(watch, limitMillis);
        connection.main().deadPeerTimeout(limitMillis);
        connection.main().serveDirectly();
        connection.main().keepQueueShort(urgent == null ? FEW_BUFFERS : MANY_BUFFERS);
    }

    /** Returns when the destination has said that it has everything. */
    void run() throws IOException, InterruptedException {
        returnPath.mayComplete(false);
        if (urgent == null) {
            mayServe(true);
            postcopy.servedBy(this::serve);
        }
        try {
            while (postcopy.pages().pageCount() > 0) {
                connection.throwIfFailed();
                long idleNanos = sendWhatMayGo();
                if (idleNanos > 0) {
                    parts.state().await(idleNanos);
                }
                parts.bandwidth().sample(System.nanoTime(), parts.state().bytesSent());
            }
        } finally {
            if (urgent == null) {
                postcopy.servedBy(postcopy.wakeup()::raise);
                // Also waits for the last page, if it is in the other thread's hands; a broken connection makes that
                // let go.
                mayServe(false);
            }
        }
        connection.throwIfFailed();
        end();
    }

    private void mayServe(boolean now) {
        sending.lock();
        try {
            serving = now;
        } finally {
            sending.unlock();
        }
    }

    /** Sends a PART if there is something to send; how long there is nothing to do otherwise. */
    private long sendWhatMayGo() throws IOException, InterruptedException {
        sending.lockInterruptibly();
        try {
            long now = System.nanoTime();
            heartbeat.beat(now);
            if (sendPart()) {
                return 0;
            }
            // Others have the last pages in hand, or what may go without being asked for has used up its bandwidth.
            long delay = limiter.delayNanos(now, maxBandwidth(), limitedBytes);
            return delay == 0 ? heartbeat.nanosLeft(now) : Math.min(delay, heartbeat.nanosLeft(now));
        } finally {
            sending.unlock();
        }
    }

    /** Something was asked for. Return-path thread. */
    private void serve() {
        if (!sending.tryLock()) {
            // Who sends looks at the queue before each run of pages; this makes him look once more if he has just done
            // so.
            postcopy.wakeup().raise();
            return;
        }
        try {
            if (serving && claimRequested()) {
                sendRequested();
            }
        } catch (IOException e) {
            serving = false;
            connection.fail(new IOException("sending a page that was asked for failed", e));
        } finally {
            sending.unlock();
        }
    }

    /** A PART of what was asked for, in as few system calls as possible. {@link #run} holds the first page. */
    private void sendRequested() throws IOException {
        long start = stream.position();
        stream.beginPart();
        do {
            writer.writeUrgent(out, run);
            postcopy.counters().urgentPages.addAndGet(run.pageCount());
        } while (stream.position() - start < PART_BYTES && claimRequested());
        stream.endPart();
        parts.ram().publishRemaining();
        if (!firstSent) {
            firstSent();
        }
        if (postcopy.pages().pageCount() == 0 || !postcopy.queue().isEmpty()) {
            postcopy.wakeup().raise();
        }
    }

    /** One PART; false if there is nothing that may be sent now. */
    private boolean sendPart() throws IOException {
        if (!claim()) {
            return false;
        }
        long start = stream.position();
        long deadline = System.nanoTime() + PART_NANOS;
        stream.beginPart();
        do {
            sendRun();
        } while (stream.position() - start < PART_BYTES && System.nanoTime() < deadline && claim());
        stream.endPart();
        parts.ram().publishRemaining();
        return true;
    }

    private void sendRun() throws IOException {
        long before = stream.position();
        if (cause == Cause.URGENT) {
            writer.writeUrgent(out, run);
        } else {
            writer.write(out, run);
        }
        if (urgent == null) {
            out.flush();
        }
        switch (cause) {
            case URGENT -> postcopy.counters().urgentPages.addAndGet(run.pageCount());
            case NEAR -> postcopy.counters().nearPages.addAndGet(run.pageCount());
            case BACKGROUND -> postcopy.counters().backgroundPages.addAndGet(run.pageCount());
        }
        if (cause != Cause.URGENT) {
            limitedBytes += stream.position() - before;
        }
        if (!firstSent) {
            firstSent();
        }
    }

    private void firstSent() throws IOException {
        firstSent = true;
        out.flush();
        postcopy.recoveries().firstPage(System.nanoTime()).ifPresent(this::report);
    }

    private void report(Recovery recovery) {
        log.atInfo()
                .addKeyValue("session", parts.request().id())
                .addKeyValue("cause", recovery.cause())
                .addKeyValue("detect-micros", recovery.detectMicros())
                .addKeyValue("reconnect-micros", recovery.reconnectMicros())
                .addKeyValue("resync-micros", recovery.resyncMicros())
                .addKeyValue("first-page-micros", recovery.firstPageMicros())
                .addKeyValue("attempts", recovery.attempts())
                .log("postcopy recovered");
    }

    private boolean claim() {
        if (urgent == null && claimRequested()) {
            cause = Cause.URGENT;
            return true;
        }
        // Also for what is near: in QEMU the scan only goes on from a page that was asked for, at the same limit.
        boolean mayGo = limiter.delayNanos(System.nanoTime(), maxBandwidth(), limitedBytes) == 0;
        boolean claimed = mayGo && postcopy.pages().claimNextHostPages(mostPages, run);
        cause = run.isNear() ? Cause.NEAR : Cause.BACKGROUND;
        return claimed;
    }

    private boolean claimRequested() {
        PageQueue queue = postcopy.queue();
        for (long entry = queue.poll(); entry != PageQueue.NONE; entry = queue.poll()) {
            if (postcopy.pages().claimRequested(queue.block(entry), queue.page(entry), run)) {
                return true;
            }
        }
        return false;
    }

    private long maxBandwidth() {
        return parts.request().parameters().get().maxPostcopyBandwidth();
    }

    private void end() throws IOException, InterruptedException {
        if (urgent != null) {
            urgent.awaitAllSent();
            if (postcopy.preemptStyle() == PreemptStyle.FROM_THE_START) {
                urgent.endMark();
            }
        }
        stream.ramEnd(parts.ram());
        awaitAnswer();
        // So that its word follows at once: a destination that is still at work must not look dead.
        heartbeat.ask();
        awaitAnswer();
        returnPath.mayComplete(true);
        connection.urgentMayEnd();
        watch.asked(stream.position() + 1);
        stream.end();
        if (!firstSent) {
            firstSent();
        }
        awaitShut();
        watch.answered();
    }

    private void awaitAnswer() throws IOException, InterruptedException {
        while (watch.isAwaiting()) {
            connection.throwIfFailed();
            parts.state().await(TimeUnit.SECONDS.toNanos(1));
        }
    }

    private void awaitShut() throws IOException, InterruptedException {
        Optional<Integer> status = Optional.empty();
        while (status.isEmpty()) {
            connection.throwIfFailed();
            try {
                status = Optional.of(connection.replies().awaitShut(SHUT_POLL));
            } catch (TimeoutException e) {
                log.atDebug().addKeyValue("session", parts.request().id()).log("waiting for SHUT");
            }
        }
        // Any other status has failed the connection.
        connection.throwIfFailed();
        stream.shutHeard();
    }
}
