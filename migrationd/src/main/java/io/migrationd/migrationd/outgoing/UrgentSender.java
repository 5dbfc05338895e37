package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends pages that the guest waits for on a channel of their own, where no other page is ahead of them: bare page
 * records, no framing, each host page in one go. Owns the thread {@code mig-urgent-<id>} of one connection. Wire
 * source: QEMU 10.0 migration/ram.c, ram_save_host_page_urgent.
 */
final class UrgentSender implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(UrgentSender.class);
    private static final long IDLE_NANOS = TimeUnit.SECONDS.toNanos(1);
    /** More than that is no urgent page. */
    private static final int MOST_BUFFERS = 3;

    private static final long JOIN_MILLIS = 5_000;

    private final Postcopy postcopy;
    private final SourceConnection connection;
    private final MigrationChannel channel;
    private final StreamOutput out;
    private final PageWriter writer;
    private final PageRun run = new PageRun();
    private final Wakeup requests = new Wakeup();
    private final Thread thread;
    private volatile boolean closed;
    /** Set before a page is claimed, unset when the channel has it: who sees no page left and this unset has all. */
    private volatile boolean busy;

    private volatile boolean awaited;

    UrgentSender(Postcopy postcopy, SourceConnection connection, MigrationChannel channel) {
        this.postcopy = postcopy;
        this.connection = connection;
        this.channel = channel;
        this.out = new StreamOutput(channel);
        channel.keepQueueShort(MOST_BUFFERS);
        this.writer = postcopy.ram().postcopyWriter();
        this.thread = Thread.ofPlatform()
                .name("mig-urgent-" + postcopy.request().id())
                .unstarted(this::serve);
    }

    void start() {
        postcopy.servedBy(requests);
        thread.start();
    }

    private void serve() {
        try {
            while (!closed) {
                if (!sendNext()) {
                    requests.await(IDLE_NANOS);
                }
            }
        } catch (IOException e) {
            connection.fail(new IOException("the channel of urgent pages broke", e));
        } catch (InterruptedException e) {
            connection.fail(new IOException("the thread of urgent pages was interrupted", e));
        } finally {
            busy = false;
            postcopy.wakeup().raise();
        }
    }

    private boolean sendNext() throws IOException {
        busy = true;
        long entry = postcopy.queue().poll();
        if (entry == PageQueue.NONE) {
            busy = false;
            if (awaited) {
                postcopy.wakeup().raise();
            }
            return false;
        }
        SourceBlock block = postcopy.queue().block(entry);
        if (postcopy.pages().claimRequested(block, postcopy.queue().page(entry), run)) {
            writer.write(out, run);
            out.flush();
            postcopy.counters().urgentPages.addAndGet(run.pageCount());
        }
        return true;
    }

    /** No page is left: waits until the socket has the last one that was asked for. */
    void awaitAllSent() throws IOException, InterruptedException {
        awaited = true;
        while (busy) {
            connection.throwIfFailed();
            postcopy.wakeup().await(IDLE_NANOS);
        }
        connection.throwIfFailed();
        channel.drain();
    }

    /** After {@link #awaitAllSent}: destinations of old machine types read until this. */
    void endMark() throws IOException {
        channel.writeSmall(new WireWriter().writeLong(RamFlags.EOS).toByteArray());
    }

    /**
     * Ends the thread. What it has not sent by now is sent over another connection, or was sent by the other thread.
     */
    @Override
    public void close() {
        closed = true;
        requests.raise();
        postcopy.servedBy(postcopy.wakeup());
        if (busy) {
            channel.abort(new IOException("postcopy over this connection has ended"));
        }
        try {
            if (!thread.join(Duration.ofMillis(JOIN_MILLIS))) {
                Throwable where = new IllegalStateException("thread " + thread.getName() + " did not stop");
                where.setStackTrace(thread.getStackTrace());
                log.atError()
                        .addKeyValue("session", postcopy.request().id())
                        .setCause(where)
                        .log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
