package io.migrationd.migrationd.session;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Recovery log")
class RecoveryLogTest {
    private final RecoveryLog log = new RecoveryLog();

    @Test
    void splitsAnEpisodeIntoItsSteps() {
        log.paused("cut", 1_000_000, 3_000_000);
        log.attempt();
        log.attempt();
        log.connected(10_000_000);
        log.attempt();
        assertThat(log.last()).containsExactly(new Recovery("cut", 2_000, null, null, null, 3));
        log.connected(20_000_000);
        log.resumed(25_000_000);
        Recovery whole = new Recovery("cut", 2_000, 17_000L, 5_000L, 1_000L, 3);

        assertThat(log.firstPage(24_999_999)).as("of the connection before").isEmpty();
        assertThat(log.firstPage(26_000_000)).contains(whole);
        assertThat(log.firstPage(27_000_000)).as("only once").isEmpty();
        assertThat(log.last()).containsExactly(whole);
        assertThat(log.count()).isEqualTo(1);
    }

    @Test
    void aPageWithoutAPauseEndsNothing() {
        log.attempt();
        log.connected(1);
        log.resumed(2);
        assertThat(log.firstPage(3)).isEmpty();
        assertThat(log.last()).isEmpty();
    }

    @Test
    void keepsTheLastEpisodesAndCountsAll() {
        for (int i = 0; i < 40; i++) {
            log.paused("cut " + i, 0, 0);
        }
        assertThat(log.count()).isEqualTo(40);
        assertThat(log.last())
                .hasSize(RecoveryLog.KEPT)
                .extracting(Recovery::cause)
                .endsWith("cut 39");
    }
}
