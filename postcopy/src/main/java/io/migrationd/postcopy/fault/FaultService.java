package io.migrationd.postcopy.fault;

import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.EventFd;
import io.migrationd.postcopy.os.PollSet;
import io.migrationd.postcopy.os.TimeSlice;
import io.migrationd.postcopy.os.UffdMessages;
import io.migrationd.postcopy.os.Userfaultfd;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.locks.Lock;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Owner of the thread {@code mig-fault-SESSION}: it waits in poll(2) for the guest's userfaultfd, reads all messages
 * that are there, and hands them to its sink. {@link #close} wakes it by an eventfd. The userfaultfd stays its owner's.
 */
public final class FaultService implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(FaultService.class);
    private static final int MESSAGES = 64;
    private static final Duration PATIENCE = Duration.ofSeconds(5);
    private static final int BROKEN = PollSet.POLLERR | PollSet.POLLHUP | PollSet.POLLNVAL;
    private static final long NOT_MISSING = UffdMessages.PAGEFAULT_WP | UffdMessages.PAGEFAULT_MINOR;

    private final String session;
    private final Userfaultfd userfaultfd;
    private final FaultSink sink;
    private final Lock layout;
    private final EventFd doorbell;
    private final PollSet ready;
    private final UffdMessages messages = new UffdMessages(MESSAGES);
    private final Thread thread;
    private volatile boolean stopping;

    private FaultService(String session, Userfaultfd userfaultfd, Lock layout, FaultSink sink, EventFd doorbell) {
        this.session = session;
        this.userfaultfd = userfaultfd;
        this.sink = sink;
        this.layout = layout;
        this.doorbell = doorbell;
        this.ready = new PollSet(userfaultfd.fd(), doorbell.fd());
        this.thread = Thread.ofPlatform().name("mig-fault-" + session).daemon().unstarted(this::run);
    }

    /**
     * Starts the thread.
     *
     * @param layout held from before a message is read that changes the guest's mappings until the sink knows of it
     */
    public static FaultService start(String session, Userfaultfd userfaultfd, Lock layout, FaultSink sink)
            throws ErrnoException {
        FaultService service = new FaultService(session, userfaultfd, layout, sink, EventFd.open());
        service.thread.start();
        return service;
    }

    private void run() {
        TimeSlice.set(TimeSlice.SHORTEST_NANOS);
        try {
            while (!stopping) {
                ready.poll(-1);
                if ((ready.events(0) & BROKEN) != 0) {
                    throw new IOException("poll of the guest's userfaultfd reports events %#x; is it O_NONBLOCK?"
                            .formatted(ready.events(0)));
                }
                serve(read());
            }
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ESRCH) {
                log.atInfo().addKeyValue("session", session).log("the guest's process has ended: no more faults");
            } else {
                reportEnd(e);
            }
        } catch (IOException | RuntimeException e) {
            reportEnd(e);
        }
    }

    /** The background stream still brings every page, and wakes who waits for it: the migration need not end here. */
    private void reportEnd(Exception why) {
        log.atError()
                .addKeyValue("session", session)
                .setCause(why)
                .log("faults are no longer served; pages still come in the background");
    }

    private void serve(int count) throws IOException {
        for (int i = 0; i < count; i++) {
            // Write protection is asynchronous and minor faults are not registered: neither is ours.
            if (messages.event(i) == UffdMessages.EVENT_PAGEFAULT && (messages.faultFlags(i) & NOT_MISSING) == 0) {
                sink.missing(messages.faultHostVirtual(i), messages.faultThread(i));
            }
        }
    }

    /**
     * Reading such an event lets the guest go on, so nobody may place a page between that and the sink's note of it.
     */
    private int read() throws IOException {
        layout.lock();
        try {
            int count = messages.read(userfaultfd.fd());
            for (int i = 0; i < count; i++) {
                int event = messages.event(i);
                if (event == UffdMessages.EVENT_REMOVE || event == UffdMessages.EVENT_UNMAP) {
                    sink.givenUp(messages.rangeStart(i), messages.rangeEnd(i));
                }
            }
            return count;
        } finally {
            layout.unlock();
        }
    }

    /** Ends the thread; one that does not end is reported with where it is, and keeps its doorbell. */
    @Override
    public void close() {
        if (stopping) {
            return;
        }
        stopping = true;
        if (ring() && ended()) {
            doorbell.close();
            return;
        }
        IllegalStateException where = new IllegalStateException(thread.getName());
        where.setStackTrace(thread.getStackTrace());
        log.atError().addKeyValue("session", session).setCause(where).log("the fault thread did not stop");
    }

    private boolean ring() {
        try {
            doorbell.signal();
            return true;
        } catch (ErrnoException e) {
            log.atError().addKeyValue("session", session).setCause(e).log("the fault thread cannot be woken");
            return false;
        }
    }

    private boolean ended() {
        try {
            return thread.join(PATIENCE);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }
}
