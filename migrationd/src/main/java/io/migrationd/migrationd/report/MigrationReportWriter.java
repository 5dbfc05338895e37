package io.migrationd.migrationd.report;

import io.migrationd.migrationd.session.MigrationInfo;
import java.io.IOException;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes a report when a migration of the daemon's own engine ends, at its source and at its destination. Owns the
 * thread {@code mig-reports}: no engine waits for a disk. Any thread may call.
 */
public final class MigrationReportWriter implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(MigrationReportWriter.class);
    private static final int MOST_WAITING = 64;
    private static final long CLOSE_SECONDS = 5;
    private static final int ID_DIGITS = 12;

    private final ReportStore store;
    private final String host;
    private final InstantSource clock;
    private final ThreadPoolExecutor thread = new ThreadPoolExecutor(
            1,
            1,
            0,
            TimeUnit.SECONDS,
            new LinkedBlockingQueue<>(MOST_WAITING),
            Thread.ofPlatform().name("mig-reports").daemon().factory());

    /**
     * Starts nothing before there is a report.
     *
     * @param host what this host is called in reports
     */
    public MigrationReportWriter(ReportStore store, String host, InstantSource clock) {
        this.store = store;
        this.host = host;
        this.clock = clock;
    }

    /** A guest was sent to {@code destination}, or was not: {@code last} says which. */
    public void sent(String guest, Optional<UUID> uuid, String destination, MigrationInfo last) {
        write("source", guest, uuid, host, destination, last);
    }

    /** A guest came, or did not. From which host the stream does not say. */
    public void received(String guest, Optional<UUID> uuid, MigrationInfo last) {
        write("destination", guest, uuid, null, host, last);
    }

    private void write(
            String role,
            String guest,
            Optional<UUID> uuid,
            @Nullable String source,
            @Nullable String destination,
            MigrationInfo last) {
        Long total = last.totalTimeMillis();
        if (total == null) {
            // Nobody ever connected: there is nothing to tell.
            return;
        }
        String id = role + "-" + UUID.randomUUID().toString().replace("-", "").substring(0, ID_DIGITS);
        MoveReport report = MigrationReports.of(
                last,
                id,
                guest,
                uuid.map(UUID::toString).orElse(null),
                source,
                destination,
                Math.max(0, clock.millis() - total));
        try {
            thread.execute(() -> write(report));
        } catch (RejectedExecutionException e) {
            log.atWarn().addKeyValue("guest", guest).setCause(e).log("report left out");
        }
    }

    private void write(MoveReport report) {
        try {
            Path file = store.write(report);
            log.atInfo()
                    .addKeyValue("guest", report.guest())
                    .addKeyValue("file", file)
                    .log("report written");
        } catch (IOException | RuntimeException e) {
            log.atError().addKeyValue("guest", report.guest()).setCause(e).log("report not written");
        }
    }

    /** Waits until what there is has been written, bounded. */
    @Override
    public void close() {
        thread.shutdown();
        try {
            if (!thread.awaitTermination(CLOSE_SECONDS, TimeUnit.SECONDS)) {
                log.atError().addKeyValue("thread", "mig-reports").log("thread did not stop");
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
