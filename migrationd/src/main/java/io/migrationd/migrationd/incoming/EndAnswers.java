package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.link.MigrationChannel;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.returnpath.ReturnPathSender;
import java.io.IOException;
import java.util.HashSet;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Tells a source that comes back how its migration has ended: the last word may have been lost with the connection that
 * carried it (spec: 07, section 9). At most {@link #MAX_CALLERS} at a time, each for a few seconds.
 */
final class EndAnswers implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(EndAnswers.class);
    private static final int MAX_CALLERS = 4;
    private static final long CALL_MILLIS = 5_000;
    private static final int COMMAND = 0x08;

    private final String session;
    private final int shutStatus;
    private final Runnable onTold;
    // Guarded by this.
    private final Set<MigrationChannel> callers = new HashSet<>();
    private int calls;
    private boolean closed;

    /**
     * Answers with {@code shutStatus}.
     *
     * @param onTold called when a source has heard it and hung up
     */
    EndAnswers(String session, int shutStatus, Runnable onTold) {
        this.session = session;
        this.shutStatus = shutStatus;
        this.onTold = onTold;
    }

    /** Takes a connection over. Does not block. */
    synchronized void answer(MigrationChannel caller) {
        if (closed || callers.size() >= MAX_CALLERS) {
            caller.abort(new IOException("the migration is over"));
            return;
        }
        callers.add(caller);
        caller.failIfSilent(CALL_MILLIS);
        Thread.ofPlatform().name("mig-answer-" + session + "-" + ++calls).start(() -> serve(Connection.of(caller)));
    }

    private void serve(Connection caller) {
        boolean told = false;
        try {
            var first = caller.in().peek(1);
            if (first != null && first.get(0) == COMMAND) {
                ReturnPathSender sender = new ReturnPathSender();
                sender.attach(caller::reply);
                sender.sendShut(shutStatus);
                caller.channel().shutdownOutput();
                told = isHeard(caller, true);
            }
        } catch (IOException e) {
            log.atDebug().addKeyValue("session", session).setCause(e).log("caller went away");
        } finally {
            caller.close();
            synchronized (this) {
                callers.remove(caller.channel());
            }
        }
        if (told) {
            log.atInfo()
                    .addKeyValue("session", session)
                    .addKeyValue("status", shutStatus)
                    .log("the source was told how it ended");
            onTold.run();
        }
    }

    /**
     * Whether the source has heard our SHUT: a daemon says so. Of a QEMU an end in order, within {@link #CALL_MILLIS},
     * is all that there is; it may as well come from whoever stands between us.
     */
    static boolean isHeard(Connection source, boolean isDaemon) {
        source.channel().failIfNotEnded(CALL_MILLIS);
        try {
            while (!source.in().atEnd()) {
                if (StreamElementCodec.read(source.in())
                                instanceof StreamElement.CommandElement(long at, Command.Ping(int value))
                        && value == StreamPings.SHUT_HEARD) {
                    return true;
                }
            }
            return !isDaemon;
        } catch (IOException e) {
            log.atDebug().setCause(e).log("the source did not say that it has heard the end");
            return false;
        }
    }

    @Override
    public synchronized void close() {
        closed = true;
        callers.forEach(caller -> caller.abort(new IOException("the daemon stops")));
    }
}
