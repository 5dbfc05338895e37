package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("QMP inbox")
class QmpInboxTest {
    private final QmpInbox inbox = new QmpInbox();

    @Test
    void losesTheOldestEventsOfAWatcherThatStandsStill() throws IOException {
        for (int i = 0; i <= QmpInbox.MAX_EVENTS; i++) {
            deliver("{\"event\": \"E%d\"}".formatted(i));
        }
        assertThat(inbox.awaitEvent(0).orElseThrow().name()).isEqualTo("E1");
    }

    @Test
    void refusesRepliesWithoutEnd() throws IOException {
        for (int i = 0; i < QmpInbox.MAX_REPLIES; i++) {
            deliver("{\"return\": {}}");
        }
        assertThatThrownBy(() -> deliver("{\"return\": {}}"))
                .hasMessage("the daemon sent 1000 replies that nobody asked for");
    }

    @Test
    void givesOutWhatCameBeforeTheFailureAndThenTheFirstFailure() throws IOException {
        deliver("{\"return\": 1}");
        inbox.fail(new IOException("first"));
        inbox.fail(new IOException("second"));
        assertThat(inbox.awaitReply(0).orElseThrow().text()).isEqualTo("{\"return\": 1}");
        assertThatThrownBy(() -> inbox.awaitReply(0)).hasMessage("first");
    }

    private void deliver(String text) throws IOException {
        inbox.deliver(text, Json.parseObject(text));
    }
}
