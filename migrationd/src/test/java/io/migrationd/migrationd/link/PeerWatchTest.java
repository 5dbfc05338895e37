package io.migrationd.migrationd.link;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.wire.ChunkSource;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Peer watch")
class PeerWatchTest {
    private static final long LIMIT_MILLIS = 1_000;

    private long nowMillis = 50_000;
    private final Counts channel = new Counts();
    private final PeerWatch watch = new PeerWatch(channel, LIMIT_MILLIS, this::now);

    private long now() {
        return TimeUnit.MILLISECONDS.toNanos(nowMillis);
    }

    /** A channel of which only the counts are asked. */
    private final class Counts implements MigrationChannel {
        long accepted;
        long sent;
        long lastReceivedMillis = nowMillis;

        @Override
        public long bytesSent() {
            return sent;
        }

        @Override
        public long bytesAccepted() {
            return accepted;
        }

        @Override
        public long lastReceivedNanos() {
            return TimeUnit.MILLISECONDS.toNanos(lastReceivedMillis);
        }

        @Override
        public String peer() {
            return "there";
        }

        @Override
        public ChunkSource input() {
            throw new UnsupportedOperationException();
        }

        @Override
        public SendBuffer acquire() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void send(SendBuffer buffer) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void drain() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void writeSmall(byte[] message) {
            throw new UnsupportedOperationException();
        }

        @Override
        public long bytesReceived() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void whenEnded(Runnable told) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void shutdownOutput() {
            throw new UnsupportedOperationException();
        }

        @Override
        public void failIfNotEnded(long millis) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void failIfSilent(long millis) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void keepQueueShort(int mostBuffers) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void deadPeerTimeout(long millis) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void abort(IOException cause) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void close() {
            throw new UnsupportedOperationException();
        }
    }

    /** Looks every 200 ms, as {@link Links#watch} does. */
    private void pass(long millis) {
        for (long end = nowMillis + millis; nowMillis < end; nowMillis += 200) {
            assertThat(watch.verdict()).as("at %d", nowMillis).isEmpty();
        }
    }

    @Test
    void aSilentPeerOfWhomNothingIsWantedLives() {
        pass(100_000);
    }

    @Test
    void aQuestionWithoutAnswerAndWithoutAnyOtherByteIsTheEnd() {
        pass(200);
        channel.accepted = channel.sent = 9;
        watch.asked(9);
        pass(800);

        assertThat(watch.verdict()).contains("the peer there does not answer and has sent nothing for 1000 ms");
    }

    @Test
    void aPeerThatWasSilentForLongIsGivenTimeToAnswer() {
        pass(100_000);
        channel.accepted = channel.sent = 9;
        watch.asked(9);
        pass(400);
        watch.answered();
        channel.lastReceivedMillis = nowMillis;
        pass(100_000);
    }

    @Test
    void otherBytesAreASignOfLife() {
        channel.accepted = channel.sent = 9;
        watch.asked(9);
        for (int i = 0; i < 20; i++) {
            pass(800);
            channel.lastReceivedMillis = nowMillis;
        }
    }

    @Test
    void aQuestionThatTheSocketHasNotTakenIsNotYetAsked() {
        channel.accepted = 109;
        watch.asked(109);
        for (int i = 0; i < 10; i++) {
            channel.sent += 10;
            pass(800);
        }
        channel.sent = 109;
        pass(400);

        nowMillis += 200;
        assertThat(watch.verdict()).isPresent();
    }

    @Test
    void bytesThatDoNotLeaveAreTheEnd() {
        channel.accepted = 9;
        pass(1_000);

        assertThat(watch.verdict()).contains("the peer there takes no data and has sent nothing for 1000 ms");
    }

    @Test
    void bytesThatLeaveSlowlyAreNot() {
        channel.accepted = 1 << 20;
        for (int i = 0; i < 20; i++) {
            pass(800);
            channel.sent++;
        }
    }
}
