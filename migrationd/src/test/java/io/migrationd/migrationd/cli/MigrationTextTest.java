package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonParseException;
import io.migrationd.migrationd.qmp.Json;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("A migration in words")
class MigrationTextTest {
    static final String ACTIVE = """
            {"status": "active", "expected-downtime": 35, "ram": {"transferred": 1048576, "remaining": 327680000, \
            "total": 1073741824, "dirty-pages-rate": 3149, "mbps": 7971.9, "dirty-sync-count": 2, "page-size": 4096}}""";

    static final String COMPLETED = """
            {"status": "completed", "total-time": 12340, "setup-time": 3, "downtime": 48, \
            "x-downtime-split": {"stop-micros": 310, "switchover-gate-micros": 0, "last-pass-micros": 22100, \
            "device-state-micros": 3200, "acknowledge-micros": 20400}, \
            "ram": {"transferred": 1288490188, "remaining": 0, "total": 1073741824, "duplicate": 120, \
            "normal": 300000, "dirty-sync-count": 4, "page-size": 4096}}""";

    static final String PAUSED = """
            {"status": "postcopy-paused", "ram": {"remaining": 1048576, "total": 2097152}, "postcopy": {"requests": 12, \
            "urgent-pages": 12, "near-pages": 34, "background-pages": 56, "recoveries": [\
            {"cause": "silence", "detect-micros": 5000000, "reconnect-micros": 20100, "resync-micros": 2000, \
            "first-page-micros": 400, "attempts": 1}, \
            {"cause": "Connection reset by peer", "detect-micros": 100, "attempts": 3}], "recovery-count": 2}}""";

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            just started | {"status":"setup"}                                  | web01 setup
            no estimate  | {"status":"active","ram":{"remaining":0,"total":0}} | web01 active: 0 B of 0 B left
            first pass   | {"status":"active","ram":{"dirty-sync-count":1,"remaining":1024,"total":2048}} | web01 active: pass 1, 1.0 KiB of 2.0 KiB left
            """)
    void progressShowsOnlyWhatTheDaemonTold(String why, String migration, String line) throws JsonParseException {
        assertThat(MigrationText.progress("web01", view(migration))).as(why).isEqualTo(line);
    }

    @Test
    void progressShowsPassesRemainingRatesAndDowntime() throws JsonParseException {
        assertThat(MigrationText.progress("web01", view(ACTIVE)))
                .isEqualTo("web01 active: pass 2, 312.5 MiB of 1.0 GiB left, dirty 12.3 MiB/s, sending 950.3 MiB/s,"
                        + " downtime ~35 ms");
    }

    @Test
    void summaryShowsTimesPassesBytesAndThroughput() throws JsonParseException {
        assertThat(MigrationText.summary(view(COMPLETED)))
                .containsExactly(
                        "  total time   12.34 s",
                        "  downtime     48 ms (stop 0.3, gate 0.0, last pass 22.1, device state 3.2, acknowledge 20.4)",
                        "  passes       4",
                        "  transferred  1.2 GiB (300000 normal and 120 zero pages)",
                        "  throughput   99.6 MiB/s");
    }

    @Test
    void progressOfPostcopyShowsWhatIsLeftAndAskedFor() throws JsonParseException {
        assertThat(MigrationText.progress("web01", view("""
                        {"status": "postcopy-active", "ram": {"remaining": 1048576, "total": 2097152, "mbps": 8.388608, \
                        "dirty-sync-count": 2}, "postcopy": {"requests": 12, "pending-requests": 1}}""")))
                .isEqualTo("web01 postcopy-active: 1.0 MiB of 2.0 MiB left, 12 requests, 1 pending, sending 1.0 MiB/s");
    }

    @Test
    void progressOfADestinationDoesNotSayWhatIsLeft() throws JsonParseException {
        assertThat(MigrationText.progress("web01", view("""
                        {"status": "postcopy-active", "ram": {"remaining": 0, "total": 2097152}, \
                        "postcopy": {"requests": 12, "pending-requests": 1}}""")))
                .isEqualTo("web01 postcopy-active: 12 requests, 1 pending");
    }

    @Test
    void summaryOfADestinationShowsHowLongFaultsWaited() throws JsonParseException {
        assertThat(MigrationText.summary(view("""
                        {"status": "completed", "postcopy": {"requests": 12, "faults": {"count": 13, "p50-micros": 210, \
                        "p99-micros": 1900, "max-micros": 5100}, "blocktime-millis": 35, "recoveries": []}}""")))
                .containsExactly(
                        "  postcopy     12 requests",
                        "  fault wait   p50 0.2 ms, p99 1.9 ms, max 5.1 ms of 13 faults",
                        "  blocktime    35 ms with every thread waiting");
    }

    @Test
    void summaryOfNothingIsEmpty() throws JsonParseException {
        assertThat(MigrationText.summary(view("{\"status\": \"failed\"}"))).isEmpty();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            inet         | [{"type":"inet","host":"127.0.0.1","port":"4444"}] | tcp:127.0.0.1:4444
            inet 6       | [{"type":"inet","host":"::1","port":"4444"}]       | tcp:[::1]:4444
            number port  | [{"type":"inet","host":"::1","port":4444}]         | tcp:[::1]:4444
            unix         | [{"type":"unix","path":"/run/x.sock"}]             | unix:/run/x.sock
            URI          | ["tcp:0.0.0.0:1"]                                  | tcp:0.0.0.0:1
            """)
    void listeningUris(String why, String addresses, String uri) throws JsonParseException {
        assertThat(view("{\"socket-address\": %s}".formatted(addresses)).listeningUris())
                .as(why)
                .containsExactly(uri);
    }

    private static MigrationView view(String json) throws JsonParseException {
        return new MigrationView(Json.parseObject(json));
    }
}
