package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.protocol.ram.RamFlags;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.time.Duration;
import java.util.concurrent.locks.ReentrantLock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Sends pages that the guest waits for on a channel of their own, where no other page is ahead of them: bare page
 * records, no framing, each host page in one go. Whoever brings a request sends the page at once: a further thread
 * would have to wake first. Owns the thread {@code mig-urgent-<id>} of one connection, which notices its end. Wire
 * source: QEMU 10.0 migration/ram.c, ram_save_host_page_urgent.
 */
final class UrgentSender implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(UrgentSender.class);
    /** More than that is no urgent page. */
    private static final int MOST_BUFFERS = 3;

    private static final long JOIN_MILLIS = 5_000;

    private final Postcopy postcopy;
    private final SourceConnection connection;
    private final MigrationChannel channel;
    private final StreamOutput out;
    private final PageWriter writer;
    private final PageRun run = new PageRun();
    private final Thread thread;
    /** Held from before a page is claimed until the channel has it: who sees no page left and gets it has all. */
    private final ReentrantLock serving = new ReentrantLock();

    UrgentSender(Postcopy postcopy, SourceConnection connection, MigrationChannel channel) throws IOException {
        this.postcopy = postcopy;
        this.connection = connection;
        this.channel = channel;
        this.out = new StreamOutput(channel);
        channel.keepQueueShort(MOST_BUFFERS);
        channel.serveDirectly();
        this.writer = postcopy.ram().postcopyWriter();
        this.thread = Thread.ofPlatform()
                .name("mig-urgent-" + postcopy.request().id())
                .unstarted(this::watch);
    }

    void start() {
        thread.start();
        postcopy.servedBy(this::serve);
    }

    /** The destination says nothing on this channel: it only ends, and the channel tells who waits for that. */
    private void watch() {
        try {
            ByteBuffer nothing = channel.input().next();
            while (nothing != null) {
                nothing = channel.input().next();
            }
        } catch (IOException e) {
            connection.fail(new IOException("the channel of urgent pages broke", e));
        }
    }

    /** Sends what is asked for, unless somebody does: he looks again when he has finished. */
    private void serve() {
        do {
            if (!serving.tryLock()) {
                return;
            }
            try {
                sendAll();
            } catch (IOException e) {
                postcopy.servedBy(postcopy.wakeup()::raise);
                connection.fail(new IOException("the channel of urgent pages broke", e));
                return;
            } finally {
                serving.unlock();
            }
        } while (!postcopy.queue().isEmpty());
    }

    private void sendAll() throws IOException {
        PageQueue queue = postcopy.queue();
        for (long entry = queue.poll(); entry != PageQueue.NONE; entry = queue.poll()) {
            SourceBlock block = queue.block(entry);
            if (postcopy.pages().claimRequested(block, queue.page(entry), run)) {
                writer.writeUrgent(out, run);
                out.flush();
                postcopy.counters().urgentPages.addAndGet(run.pageCount());
            }
        }
    }

    /** No page is left: waits until the socket has the last one that was asked for. */
    void awaitAllSent() throws IOException, InterruptedException {
        // A broken connection makes who has it let go.
        serving.lockInterruptibly();
        serving.unlock();
        connection.throwIfFailed();
        channel.drain();
    }

    /** After {@link #awaitAllSent}: destinations of old machine types read until this. */
    void endMark() throws IOException {
        channel.writeSmall(new WireWriter().writeLong(RamFlags.EOS).toByteArray());
    }

    /**
     * Ends the channel and the thread. What it has not sent by now is sent over another connection, or was sent by the
     * other thread.
     */
    @Override
    public void close() {
        postcopy.servedBy(postcopy.wakeup()::raise);
        if (serving.tryLock()) {
            serving.unlock();
        } else {
            channel.abort(new IOException("postcopy over this connection has ended"));
        }
        channel.close();
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
