package io.migrationd.migrationd.metrics;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.metrics.Meters.CommandOutcome;
import io.migrationd.migrationd.metrics.Meters.Outcome;
import io.migrationd.migrationd.metrics.Meters.PageCause;
import io.migrationd.migrationd.metrics.Meters.PageKind;
import io.migrationd.migrationd.metrics.Meters.Role;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Metrics page")
class MetricsServerTest {
    private final Meters meters = new Meters();
    private MetricsServer server;

    @BeforeEach
    void start() throws IOException {
        server = new MetricsServer(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), meters);
    }

    @AfterEach
    void stop() {
        server.close();
        meters.close();
    }

    @Test
    void showsEveryMeter() throws Exception {
        meters.migrationStarted(Role.SOURCE);
        meters.migrationStarted(Role.SOURCE);
        meters.migrationStarted(Role.DESTINATION);
        meters.migrationEnded(Role.SOURCE, Outcome.COMPLETED, Duration.ofSeconds(2));
        meters.migrationEnded(Role.SOURCE, Outcome.FAILED, Duration.ofSeconds(1));
        meters.migrationEnded(Role.DESTINATION, Outcome.CANCELLED, Duration.ofSeconds(1));
        meters.migrationDowntime(Duration.ofMillis(20));
        meters.bytesSent(1000);
        meters.bytesReceived(2000);
        meters.pagesSent(PageKind.NORMAL, 10);
        meters.pagesSent(PageKind.ZERO, 20);
        meters.pagesSent(PageKind.XBZRLE, 30);
        meters.pagesReceived(PageKind.ZERO, 40);
        meters.passCompleted();
        meters.postcopyRequests(Role.DESTINATION, 50);
        meters.postcopyPages(PageCause.URGENT, 60);
        meters.postcopyPages(PageCause.BACKGROUND, 70);
        meters.postcopyPaused(Role.SOURCE);
        meters.postcopyRecovered(Role.SOURCE);
        meters.faultLatencies(List.of(0L, 0L, 0L, 0L, 0L, 0L, 0L, 3L, 0L, 1L), 1120);
        meters.watchGuests(GuestKind.PARKED, () -> 3);
        meters.command("migrate", CommandOutcome.OK);
        meters.controlClients(5);

        String page = get("/metrics").body();
        assertThat(page.lines())
                .contains(
                        "migration_started_total{role=\"source\"} 2.0",
                        "migration_started_total{role=\"destination\"} 1.0",
                        "migration_completed_total{role=\"source\"} 1.0",
                        "migration_failed_total{role=\"source\"} 1.0",
                        "migration_failed_total{role=\"destination\"} 0.0",
                        "migration_cancelled_total{role=\"destination\"} 1.0",
                        "migration_downtime_seconds_bucket{le=\"0.01\"} 0",
                        "migration_downtime_seconds_bucket{le=\"0.03\"} 1",
                        "migration_downtime_seconds_count 1",
                        "migration_downtime_seconds_sum 0.02",
                        "migration_total_time_seconds_sum{role=\"source\"} 3.0",
                        "migration_bytes_sent_total 1000.0",
                        "migration_bytes_received_total 2000.0",
                        "migration_pages_sent_total{kind=\"normal\"} 10.0",
                        "migration_pages_sent_total{kind=\"zero\"} 20.0",
                        "migration_pages_sent_total{kind=\"xbzrle\"} 30.0",
                        "migration_pages_received_total{kind=\"zero\"} 40.0",
                        "migration_passes_total 1.0",
                        "migration_postcopy_requests_total{role=\"destination\"} 50.0",
                        "migration_postcopy_pages_total{cause=\"urgent\"} 60.0",
                        "migration_postcopy_pages_total{cause=\"near\"} 0.0",
                        "migration_postcopy_pages_total{cause=\"background\"} 70.0",
                        "migration_postcopy_pauses_total{role=\"source\"} 1.0",
                        "migration_postcopy_recoveries_total{role=\"source\"} 1.0",
                        "migration_postcopy_fault_latency_seconds_bucket{le=\"1.28E-4\"} 0",
                        "migration_postcopy_fault_latency_seconds_bucket{le=\"2.56E-4\"} 3",
                        "migration_postcopy_fault_latency_seconds_bucket{le=\"5.12E-4\"} 3",
                        "migration_postcopy_fault_latency_seconds_bucket{le=\"0.001024\"} 4",
                        "migration_postcopy_fault_latency_seconds_sum 0.00112",
                        "guests{kind=\"parked\"} 3.0",
                        "control_commands_total{command=\"migrate\",outcome=\"ok\"} 1.0",
                        "control_clients 5.0")
                .anyMatch(line -> line.startsWith("jvm_memory_used_bytes{"))
                .anyMatch(line -> line.startsWith("jvm_threads_live_threads "))
                .anyMatch(line -> line.startsWith("process_uptime_seconds "));
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource({
        "GET,  /healthz,   200",
        "GET,  /metrics,   200",
        "GET,  /metrics?x, 200",
        "GET,  /metrics/x, 404",
        "GET,  /,          404",
        "GET,  /healthzz,  404",
        "POST, /metrics,   405",
    })
    void answers(String method, String path, int status) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(uri(path))
                .method(method, HttpRequest.BodyPublishers.noBody())
                .build();
        try (HttpClient client = HttpClient.newHttpClient()) {
            assertThat(client.send(request, HttpResponse.BodyHandlers.ofString())
                            .statusCode())
                    .isEqualTo(status);
        }
    }

    @Test
    void healthzSaysOk() throws Exception {
        assertThat(get("/healthz").body()).isEqualTo("ok\n");
    }

    @Test
    void refusesToLeaveLoopback() {
        assertThatThrownBy(() ->
                        new MetricsServer(new InetSocketAddress(InetAddress.ofLiteral("0.0.0.0"), 0), meters).close())
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("loopback only");
    }

    private HttpResponse<String> get(String path) throws Exception {
        try (HttpClient client = HttpClient.newHttpClient()) {
            return client.send(HttpRequest.newBuilder(uri(path)).build(), HttpResponse.BodyHandlers.ofString());
        }
    }

    private URI uri(String path) {
        return URI.create("http://127.0.0.1:" + server.address().getPort() + path);
    }
}
