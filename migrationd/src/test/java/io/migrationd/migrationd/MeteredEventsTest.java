package io.migrationd.migrationd;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.metrics.Meters.Role;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Meters of a migration")
class MeteredEventsTest {
    private final Meters meters = new Meters();
    private MigrationInfo info = MigrationInfo.NONE;

    @AfterEach
    void close() {
        meters.close();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            never paused            | setup active postcopy-active completed                                                  | 0 | 0
            paused once             | setup active postcopy-active postcopy-paused postcopy-recover-setup postcopy-recover postcopy-active completed | 1 | 1
            recovery fails at first | postcopy-active postcopy-paused postcopy-recover postcopy-paused postcopy-recover postcopy-active | 1 | 1
            paused twice            | postcopy-active postcopy-paused postcopy-recover postcopy-active postcopy-paused        | 2 | 1
            complete all the while  | postcopy-active postcopy-paused postcopy-recover completed                              | 1 | 1
            after a restart         | postcopy-paused postcopy-recover postcopy-active                                        | 1 | 1
            lost                    | postcopy-active postcopy-paused failed                                                  | 1 | 0
            """)
    void countsPausesAndRecoveries(String why, String statuses, int pauses, int recoveries) {
        MeteredEvents events = events(Role.SOURCE);
        for (String status : statuses.split(" ", -1)) {
            announce(events, status);
        }
        assertThat(meters.scrape().lines())
                .as(why)
                .contains(
                        "migration_postcopy_pauses_total{role=\"source\"} %d.0".formatted(pauses),
                        "migration_postcopy_recoveries_total{role=\"source\"} %d.0".formatted(recoveries),
                        "migration_postcopy_pauses_total{role=\"destination\"} 0.0");
    }

    @Test
    void countsPagesByCauseAtTheSource() {
        MeteredEvents events = events(Role.SOURCE);
        info = info(new PostcopyInfo(10, null, 1L, 2L, 3L, null, null, Map.of(), List.of(), 0));
        announce(events, "postcopy-paused");
        info = info(new PostcopyInfo(15, null, 11L, 22L, 33L, null, null, Map.of(), List.of(), 0));
        announce(events, "completed");
        assertThat(meters.scrape().lines())
                .contains(
                        "migration_postcopy_requests_total{role=\"source\"} 15.0",
                        "migration_postcopy_pages_total{cause=\"urgent\"} 11.0",
                        "migration_postcopy_pages_total{cause=\"near\"} 22.0",
                        "migration_postcopy_pages_total{cause=\"background\"} 33.0");
    }

    @Test
    void countsFaultsAtTheDestination() {
        MeteredEvents events = events(Role.DESTINATION);
        info = faults(2, 12, List.of(0L, 0L, 0L, 2L));
        announce(events, "postcopy-paused");
        info = faults(5, 15, List.of(0L, 0L, 0L, 4L, 1L));
        announce(events, "completed");
        assertThat(meters.scrape().lines())
                .contains(
                        "migration_postcopy_fault_latency_seconds_bucket{le=\"8.0E-6\"} 0",
                        "migration_postcopy_fault_latency_seconds_bucket{le=\"1.6E-5\"} 4",
                        "migration_postcopy_fault_latency_seconds_bucket{le=\"3.2E-5\"} 5",
                        "migration_postcopy_fault_latency_seconds_count 5");
    }

    /** The sixteen last ones are shown; each counts once, when nothing of it is still to come. */
    @Test
    void countsTheStepsOfEachRecoveryOnce() {
        MeteredEvents events = events(Role.SOURCE);
        Recovery open = new Recovery("cut", 1_000_000, null, null, null, 1);
        Recovery whole = new Recovery("cut", 1_000_000, 20_000L, 3_000L, 40L, 1);
        Recovery last = new Recovery("cut", 500_000, 20_000L, null, null, 4);
        for (List<Recovery> seen : List.of(List.of(open), List.of(whole), List.of(whole, last))) {
            info = info(new PostcopyInfo(0, null, 0L, 0L, 0L, null, null, Map.of(), seen, 4 + seen.size()));
            announce(events, "postcopy-paused");
        }
        assertThat(count("detect")).isEqualTo(1);
        announce(events, "failed");
        assertThat(count("detect")).isEqualTo(2);
        assertThat(count("reconnect")).isEqualTo(2);
        assertThat(count("resync")).isEqualTo(1);
        assertThat(count("first_page")).isEqualTo(1);
        assertThat(meters.scrape().lines())
                .contains("migration_postcopy_recovery_time_seconds_sum{role=\"source\",step=\"detect\"} 1.5");
    }

    private long count(String step) {
        String name = "migration_postcopy_recovery_time_seconds_count{role=\"source\",step=\"%s\"} ".formatted(step);
        return meters.scrape()
                .lines()
                .filter(line -> line.startsWith(name))
                .mapToLong(line -> Long.parseLong(line.substring(name.length())))
                .sum();
    }

    @Test
    void countsBlocktimeAtTheEnd() {
        MeteredEvents events = events(Role.DESTINATION);
        info = info(new PostcopyInfo(0, 0L, null, null, null, null, 40L, Map.of(7, 50L, 8, 150L), List.of(), 0));
        announce(events, "postcopy-active");
        announce(events, "completed");
        assertThat(meters.scrape().lines())
                .contains(
                        "migration_postcopy_blocktime_seconds_count 1",
                        "migration_postcopy_blocktime_seconds_sum 0.04",
                        "migration_postcopy_thread_blocktime_seconds_count 2",
                        "migration_postcopy_thread_blocktime_seconds_sum 0.2");
    }

    private MeteredEvents events(Role role) {
        return new MeteredEvents((guest, name, data) -> {}, meters, role, () -> info);
    }

    private static void announce(MeteredEvents events, String status) {
        events.event("web01", "MIGRATION", Map.of("status", status));
    }

    private static MigrationInfo faults(long count, long mean, List<Long> buckets) {
        return info(new PostcopyInfo(
                count,
                0L,
                null,
                null,
                null,
                new PostcopyInfo.Latency(count, mean, mean, mean, mean, buckets),
                null,
                Map.of(),
                List.of(),
                0));
    }

    private static MigrationInfo info(PostcopyInfo postcopy) {
        return new MigrationInfo("any", 0L, null, null, null, null, null, null, postcopy, null, List.of(), List.of());
    }
}
