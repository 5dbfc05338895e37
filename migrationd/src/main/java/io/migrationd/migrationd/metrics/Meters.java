package io.migrationd.migrationd.metrics;

import io.micrometer.core.instrument.Counter;
import io.micrometer.core.instrument.Gauge;
import io.micrometer.core.instrument.Timer;
import io.micrometer.core.instrument.binder.jvm.JvmGcMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmMemoryMetrics;
import io.micrometer.core.instrument.binder.jvm.JvmThreadMetrics;
import io.micrometer.core.instrument.binder.system.FileDescriptorMetrics;
import io.micrometer.core.instrument.binder.system.ProcessorMetrics;
import io.micrometer.core.instrument.binder.system.UptimeMetrics;
import io.micrometer.prometheusmetrics.PrometheusConfig;
import io.micrometer.prometheusmetrics.PrometheusMeterRegistry;
import io.migrationd.migrationd.guest.GuestKind;
import java.time.Duration;
import java.time.temporal.ChronoUnit;
import java.util.EnumMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.stream.IntStream;

/**
 * Every meter of the daemon, named here and nowhere else (docs/operations.md has a line for each). Calls are cheap and
 * may come from any thread; engines call at rare points (a state change, the end of a pass) with what was added since
 * the last call, never per page.
 */
public final class Meters implements AutoCloseable {
    /** Which end of a migration we are: tag {@code role}. */
    public enum Role {
        SOURCE,
        DESTINATION
    }

    /** How a migration ended: part of the meter's name. */
    public enum Outcome {
        COMPLETED,
        FAILED,
        CANCELLED
    }

    /** How a page travels: tag {@code kind}. */
    public enum PageKind {
        NORMAL,
        ZERO,
        XBZRLE
    }

    /** Why a page travels after the switchover: tag {@code cause}. */
    public enum PageCause {
        URGENT,
        NEAR,
        BACKGROUND
    }

    /** What a recovery of postcopy was spent on: tag {@code step}. */
    public enum RecoveryStep {
        DETECT,
        RECONNECT,
        RESYNC,
        FIRST_PAGE
    }

    /** How a command was answered: tag {@code outcome}. */
    public enum CommandOutcome {
        OK,
        ERROR,
        REFUSED
    }

    private static final Duration[] DOWNTIME_BUCKETS = millis(1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000);
    private static final Duration[] TOTAL_TIME_BUCKETS = millis(1000, 10_000, 60_000, 300_000, 1_800_000, 7_200_000);

    /** Powers of two of a microsecond. */
    private static final Duration[] FAULT_BUCKETS = IntStream.range(0, 24)
            .mapToObj(n -> Duration.of(1L << n, ChronoUnit.MICROS))
            .toArray(Duration[]::new);

    private final PrometheusMeterRegistry registry = new PrometheusMeterRegistry(PrometheusConfig.DEFAULT);
    private final JvmGcMetrics garbageCollection = new JvmGcMetrics();

    private final Map<Role, Counter> started = perRole(role -> migrations("started", role));
    private final Map<Role, Counter> completed = perRole(role -> migrations("completed", role));
    private final Map<Role, Counter> failed = perRole(role -> migrations("failed", role));
    private final Map<Role, Counter> cancelled = perRole(role -> migrations("cancelled", role));
    private final Map<Role, Timer> totalTime = perRole(this::totalTimer);
    private final Timer downtime = Timer.builder("migration.downtime")
            .description("Source: from the stop of the guest to the destination's last word")
            .serviceLevelObjectives(DOWNTIME_BUCKETS)
            .register(registry);
    private final Counter bytesSent = counter("migration.bytes.sent", "Bytes of migration streams sent");
    private final Counter bytesReceived = counter("migration.bytes.received", "Bytes of migration streams received");
    private final Map<PageKind, Counter> pagesSent = perPageKind("migration.pages.sent", "Page records sent");
    private final Map<PageKind, Counter> pagesReceived =
            perPageKind("migration.pages.received", "Page records received");
    private final Counter passes = counter("migration.passes", "Passes over a guest's dirty log");
    private final Map<Role, Counter> postcopyRequests = perRole(
            role -> perRole("migration.postcopy.requests", "Page requests sent (destination) or taken (source)", role));
    private final Map<Role, Counter> postcopyPauses = perRole(
            role -> perRole("migration.postcopy.pauses", "Postcopy migrations that lost their connection", role));
    private final Map<Role, Counter> postcopyRecoveries = perRole(
            role -> perRole("migration.postcopy.recoveries", "Postcopy migrations that came back after a pause", role));
    private final Map<PageCause, Counter> postcopyPages = perPageCause();
    private final Timer faultLatency = Timer.builder("migration.postcopy.fault.latency")
            .description("Destination: from a fault of a guest's thread to the page")
            .serviceLevelObjectives(FAULT_BUCKETS)
            .register(registry);
    private final Map<Role, Map<RecoveryStep, Timer>> recoverySteps = perRole(this::recoveryTimers);
    private final Timer blocktime = blocktimeTimer(
            "migration.postcopy.blocktime", "Destination: per migration, while every thread that ever waited waited");
    private final Timer threadBlocktime = blocktimeTimer(
            "migration.postcopy.thread.blocktime", "Destination: per thread of a guest, how long it waited for pages");
    private final AtomicInteger clients = new AtomicInteger();

    /** Registers all meters; those of the JVM too. */
    public Meters() {
        Gauge.builder("control.clients", clients, AtomicInteger::get)
                .description("Connections to the control sockets")
                .register(registry);
        new JvmMemoryMetrics().bindTo(registry);
        new JvmThreadMetrics().bindTo(registry);
        new ProcessorMetrics().bindTo(registry);
        new FileDescriptorMetrics().bindTo(registry);
        new UptimeMetrics().bindTo(registry);
        garbageCollection.bindTo(registry);
    }

    /** A migration left status none. */
    public void migrationStarted(Role role) {
        in(started, role).increment();
    }

    /** A migration ended; {@code total} is from its start. */
    public void migrationEnded(Role role, Outcome outcome, Duration total) {
        Map<Role, Counter> counters = switch (outcome) {
            case COMPLETED -> completed;
            case FAILED -> failed;
            case CANCELLED -> cancelled;
        };
        in(counters, role).increment();
        in(totalTime, role).record(total);
    }

    /** Source: how long a guest that arrived was stopped. */
    public void migrationDowntime(Duration stopped) {
        downtime.record(stopped);
    }

    /** Stream bytes sent since the last call. */
    public void bytesSent(long added) {
        bytesSent.increment((double) added);
    }

    /** Stream bytes received since the last call. */
    public void bytesReceived(long added) {
        bytesReceived.increment((double) added);
    }

    /** Pages sent since the last call. */
    public void pagesSent(PageKind kind, long added) {
        in(pagesSent, kind).increment((double) added);
    }

    /** Pages received since the last call. */
    public void pagesReceived(PageKind kind, long added) {
        in(pagesReceived, kind).increment((double) added);
    }

    /** A pass over the dirty log ended. */
    public void passCompleted() {
        passes.increment();
    }

    /** Page requests since the last call. */
    public void postcopyRequests(Role role, long added) {
        in(postcopyRequests, role).increment((double) added);
    }

    /** Pages sent after the switchover since the last call. */
    public void postcopyPages(PageCause cause, long added) {
        in(postcopyPages, cause).increment((double) added);
    }

    /** A postcopy migration lost its connection. */
    public void postcopyPaused(Role role) {
        in(postcopyPauses, role).increment();
    }

    /** It goes on, or turned out to be complete. */
    public void postcopyRecovered(Role role) {
        in(postcopyRecoveries, role).increment();
    }

    /** A recovery is over, or as far as it got; what it did not get to is not recorded. */
    public void recoveryStep(Role role, RecoveryStep step, Duration took) {
        in(in(recoverySteps, role), step).record(took);
    }

    /** Destination: a postcopy has ended; how long all threads together, and each of them, waited for pages. */
    public void postcopyBlocktime(Duration together, Iterable<Duration> threads) {
        blocktime.record(together);
        threads.forEach(threadBlocktime::record);
    }

    /**
     * Faults since the last call: {@code addedPerBucket.get(n)} of them took 2^n to 2^(n+1) microseconds, all together
     * {@code addedMicros}. Each counts in its bucket, at the same share of the bucket's width, chosen so that the sum
     * is right.
     */
    public void faultLatencies(List<Long> addedPerBucket, long addedMicros) {
        double lowest = 0;
        for (int n = 0; n < addedPerBucket.size(); n++) {
            lowest += (double) addedPerBucket.get(n) * (1L << n);
        }
        double share = Math.clamp(addedMicros / Math.max(lowest, 1), 1.01, 1.99);
        for (int n = 0; n < addedPerBucket.size(); n++) {
            long nanos = Math.round(share * TimeUnit.MICROSECONDS.toNanos(1L << n));
            for (long left = addedPerBucket.get(n); left > 0; left--) {
                faultLatency.record(nanos, TimeUnit.NANOSECONDS);
            }
        }
    }

    /** Shows how many guests of that kind there are; {@code count} is asked at each scrape. Once per kind. */
    public void watchGuests(GuestKind kind, Supplier<Number> count) {
        Gauge.builder("guests", count)
                .description("Guests on this host")
                .tag("kind", kind.jsonName())
                .register(registry);
    }

    /** A command was answered; {@code command} is a name of the command table, or {@code unknown}. */
    public void command(String command, CommandOutcome outcome) {
        Counter.builder("control.commands")
                .description("Commands answered on the control sockets")
                .tag("command", command)
                .tag("outcome", tag(outcome))
                .register(registry)
                .increment();
    }

    /** How many clients the control sockets have now. */
    public void controlClients(int now) {
        clients.set(now);
    }

    /** All meters in Prometheus' text format 0.0.4. */
    public String scrape() {
        return registry.scrape();
    }

    @Override
    public void close() {
        garbageCollection.close();
        registry.close();
    }

    private Counter migrations(String verb, Role role) {
        return Counter.builder("migration." + verb)
                .description("Migrations " + verb)
                .tag("role", tag(role))
                .register(registry);
    }

    private Timer totalTimer(Role role) {
        return Timer.builder("migration.total.time")
                .description("From the start of a migration to its end, however it ended")
                .tag("role", tag(role))
                .serviceLevelObjectives(TOTAL_TIME_BUCKETS)
                .register(registry);
    }

    private Counter counter(String name, String description) {
        return Counter.builder(name).description(description).register(registry);
    }

    private Counter perRole(String name, String description, Role role) {
        return Counter.builder(name)
                .description(description)
                .tag("role", tag(role))
                .register(registry);
    }

    private Map<RecoveryStep, Timer> recoveryTimers(Role role) {
        Map<RecoveryStep, Timer> timers = new EnumMap<>(RecoveryStep.class);
        for (RecoveryStep step : RecoveryStep.values()) {
            timers.put(
                    step,
                    Timer.builder("migration.postcopy.recovery.time")
                            .description("Steps of recoveries of postcopy")
                            .tag("role", tag(role))
                            .tag("step", tag(step))
                            .serviceLevelObjectives(DOWNTIME_BUCKETS)
                            .register(registry));
        }
        return timers;
    }

    private Timer blocktimeTimer(String name, String description) {
        return Timer.builder(name)
                .description(description)
                .serviceLevelObjectives(DOWNTIME_BUCKETS)
                .register(registry);
    }

    private Map<PageCause, Counter> perPageCause() {
        Map<PageCause, Counter> counters = new EnumMap<>(PageCause.class);
        for (PageCause cause : PageCause.values()) {
            counters.put(
                    cause,
                    Counter.builder("migration.postcopy.pages")
                            .description("Guest pages sent after the switchover")
                            .tag("cause", tag(cause))
                            .register(registry));
        }
        return counters;
    }

    private Map<PageKind, Counter> perPageKind(String name, String description) {
        Map<PageKind, Counter> counters = new EnumMap<>(PageKind.class);
        for (PageKind kind : PageKind.values()) {
            counters.put(
                    kind,
                    Counter.builder(name)
                            .description(description)
                            .tag("kind", tag(kind))
                            .register(registry));
        }
        return counters;
    }

    private static <M> Map<Role, M> perRole(Function<Role, M> meter) {
        Map<Role, M> meters = new EnumMap<>(Role.class);
        for (Role role : Role.values()) {
            meters.put(role, meter.apply(role));
        }
        return meters;
    }

    private static <K, M> M in(Map<K, M> meters, K key) {
        M meter = meters.get(key);
        if (meter == null) {
            throw new AssertionError("no meter for " + key);
        }
        return meter;
    }

    private static String tag(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT);
    }

    private static Duration[] millis(long... values) {
        Duration[] durations = new Duration[values.length];
        for (int i = 0; i < values.length; i++) {
            durations[i] = Duration.ofMillis(values[i]);
        }
        return durations;
    }
}
