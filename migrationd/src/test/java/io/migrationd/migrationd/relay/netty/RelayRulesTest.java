package io.migrationd.migrationd.relay.netty;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.link.session.CutProxy.Cut;
import io.migrationd.migrationd.relay.RelayStatus.ChannelStatus;
import io.migrationd.migrationd.relay.RelayStatus.Side;
import io.migrationd.migrationd.relay.RelayStatus.State;
import io.migrationd.migrationd.relay.netty.FakeQemu.Connection;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.concurrent.Callable;
import java.util.function.UnaryOperator;
import org.awaitility.core.ConditionTimeoutException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** docs/moves.md §4, each rule with scripted ends: who was connected when, with how many bytes. */
@DisplayName("Rules of the relay")
@Timeout(30)
class RelayRulesTest {
    private static final List<Cut> CUTS = List.of(Cut.values());

    @TempDir
    private Path folder;

    private static void until(RelayPair pair, Callable<Boolean> condition) {
        try {
            await().atMost(Duration.ofSeconds(8)).until(condition);
        } catch (ConditionTimeoutException e) {
            throw new AssertionError(pair.facts(), e);
        }
    }

    private RelayPair pair(boolean preempt, int multifd) throws Exception {
        return new RelayPair(folder, preempt, multifd, UnaryOperator.identity());
    }

    /** How long nothing must happen for us to believe that it does not. */
    private static void quiet(Callable<Boolean> condition) {
        await().during(Duration.ofMillis(250)).atMost(Duration.ofSeconds(2)).until(condition);
    }

    @Test
    void mainIsConnectedWithItsFirstBytesInOneGo() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            quiet(() -> pair.destination.accepted.isEmpty());
            main.write(Arrays.copyOf(FakeQemu.MAIN, 3));
            quiet(() -> pair.destination.accepted.isEmpty());
            main.write(Arrays.copyOfRange(FakeQemu.MAIN, 3, 8));
            until(pair, () -> pair.destination.accepted.size() == 1);
            Connection arrived = pair.destination.accepted.getFirst();
            assertThat(arrived.read(8)).isEqualTo(FakeQemu.MAIN);
            assertThat(arrived.firstRead).isGreaterThanOrEqualTo(4);
        }
    }

    @Test
    void aRecoveryBeginsWithLessAndIsHeldUntilThereIsEnough() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            main.write(new byte[] {8});
            until(pair, () -> pair.target.status().state() == State.OPEN);
            quiet(() -> pair.destination.accepted.isEmpty());
            main.write(new byte[] {0, 10, 0, 1});
            until(pair, () -> pair.destination.accepted.size() == 1);
            Connection arrived = pair.destination.accepted.getFirst();
            assertThat(arrived.read(5)).isEqualTo(new byte[] {8, 0, 10, 0, 1});
            assertThat(arrived.firstRead).isGreaterThanOrEqualTo(4);
        }
    }

    @Test
    void silentPreemptConnectionWaitsForMainAndIsThenConnectedAtOnce() throws Exception {
        try (RelayPair pair = pair(true, 0);
                Connection preempt = FakeQemu.connect(pair.sourceSocket);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            quiet(() -> pair.destination.accepted.isEmpty());
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 2);
            assertThat(pair.destination.accepted.get(0).read(8)).isEqualTo(FakeQemu.MAIN);
            preempt.write(new byte[] {0, 0, 0, 1});
            assertThat(pair.destination.accepted.get(1).read(4)).isEqualTo(new byte[] {0, 0, 0, 1});
        }
    }

    @Test
    void multifdConnectionsFollowMain() throws Exception {
        try (RelayPair pair = pair(true, 2);
                Connection first = FakeQemu.connect(pair.sourceSocket);
                Connection second = FakeQemu.connect(pair.sourceSocket);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            first.write(FakeQemu.MULTIFD);
            quiet(() -> pair.destination.accepted.isEmpty());
            main.write(FakeQemu.MAIN);
            second.write(FakeQemu.MULTIFD);
            until(pair, () -> pair.destination.accepted.size() == 3);
            try (Connection preempt = FakeQemu.connect(pair.sourceSocket)) {
                until(pair, () -> pair.destination.accepted.size() == 4);
                assertThat(pair.destination.accepted.get(0).read(8)).isEqualTo(FakeQemu.MAIN);
                assertThat(pair.destination.accepted.get(1).read(8)).isEqualTo(FakeQemu.MULTIFD);
                assertThat(pair.source.status().channels())
                        .extracting(ChannelStatus::kind)
                        .hasSize(4);
                assertThat(preempt.channel.isOpen()).isTrue();
            }
        }
    }

    @Test
    void noMoreConnectionsThanExpected() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 1);
            try (Connection extra = FakeQemu.connect(pair.sourceSocket)) {
                assertThat(extra.isEnded()).isTrue();
            }
            assertThat(pair.source.status().refused()).isEqualTo(1);
            assertThat(pair.source.status().state()).isEqualTo(State.OPEN);
            assertThat(pair.destination.accepted).hasSize(1);
        }
    }

    @Test
    void sourceThatBreaksInTheMiddleEndsAllAtBothEnds() throws Exception {
        try (RelayPair pair = pair(true, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket);
                Connection preempt = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 2);
            main.end();
            assertThat(preempt.isEnded()).isTrue();
            pair.destination.accepted.get(0).read(8);
            assertThat(pair.destination.accepted.get(0).isEnded()).isTrue();
            assertThat(pair.destination.accepted.get(1).isEnded()).isTrue();
            until(pair, () -> pair.target.status().state() == State.BROKEN);
            assertThat(pair.target.status().failure().orElseThrow().side()).isEqualTo(Side.SOURCE_QEMU);
            assertThat(pair.source.status().failure().orElseThrow().side()).isEqualTo(Side.SOURCE_QEMU);
        }
    }

    @Test
    void destinationThatBreaksInTheMiddleEndsAllAtBothEnds() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 1);
            pair.destination.accepted.getFirst().close();
            assertThat(main.isEnded()).isTrue();
            until(pair, () -> pair.source.status().state() == State.BROKEN);
            assertThat(pair.source.status().failure().orElseThrow().side()).isEqualTo(Side.DESTINATION_QEMU);
        }
    }

    @Test
    void onlyThePreemptConnectionIsCut() throws Exception {
        try (RelayPair pair = pair(true, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket);
                Connection preempt = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 2);
            pair.destination.accepted.get(1).close();
            assertThat(main.isEnded()).isTrue();
            assertThat(preempt.isEnded()).isTrue();
        }
    }

    @Test
    void destinationClosesFirstAfterShut() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 1);
            // The destination has not read all of the stream when it says SHUT and closes: SHUT must not be lost.
            main.write(new byte[300_000]);
            Connection destination = pair.destination.accepted.getFirst();
            destination.read(1000);
            destination.write(FakeQemu.SHUT);
            destination.end();
            assertThat(main.read(8)).isEqualTo(FakeQemu.SHUT);
            main.end();
            until(pair, () -> pair.source.status().state() == State.ENDED);
            until(pair, () -> pair.target.status().state() == State.ENDED);
        }
    }

    @Test
    void sourceClosesFirstAfterShutWithPreemptAndMultifd() throws Exception {
        try (RelayPair pair = pair(true, 1);
                Connection main = FakeQemu.connect(pair.sourceSocket);
                Connection multifd = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            multifd.write(FakeQemu.MULTIFD);
            until(pair, () -> pair.destination.accepted.size() == 2);
            try (Connection preempt = FakeQemu.connect(pair.sourceSocket)) {
                until(pair, () -> pair.destination.accepted.size() == 3);
                Connection destination = pair.destination.accepted.getFirst();
                destination.read(8);
                pair.destination.accepted.get(2).close();
                destination.write(FakeQemu.SHUT);
                assertThat(main.read(8)).isEqualTo(FakeQemu.SHUT);
                preempt.end();
                multifd.end();
                main.end();
                assertThat(destination.isEnded()).isTrue();
                until(pair, () -> pair.source.status().state() == State.ENDED);
                until(pair, () -> pair.target.status().state() == State.ENDED);
            }
        }
    }

    @Test
    void cutsOfTheLinkAreInvisible() throws Exception {
        SplittableRandom random = new SplittableRandom(7);
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            byte[] content = new byte[20 << 20];
            random.nextBytes(content);
            System.arraycopy(FakeQemu.MAIN, 0, content, 0, 8);
            Thread writer = Thread.ofPlatform().start(() -> {
                try {
                    main.write(content);
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            until(pair, () -> pair.destination.accepted.size() == 1);
            Connection destination = pair.destination.accepted.getFirst();
            byte[] got = new byte[content.length];
            int step = content.length / 20;
            for (int i = 0; i < 20; i++) {
                pair.proxy.cutAfter(1 + random.nextInt(step), CUTS.get(i % CUTS.size()));
                System.arraycopy(destination.read(step), 0, got, i * step, step);
            }
            System.arraycopy(
                    destination.read(content.length - 20 * step), 0, got, 20 * step, content.length - 20 * step);
            assertThat(Arrays.equals(got, content)).isTrue();
            writer.join();
            pair.proxy.refuse(true);
            pair.proxy.cut(Cut.RST);
            destination.write(FakeQemu.SHUT);
            destination.end();
            quiet(() -> pair.source.status().state() == State.OPEN);
            pair.proxy.refuse(false);
            assertThat(main.read(8)).isEqualTo(FakeQemu.SHUT);
            main.end();
            until(pair, () -> pair.source.status().state() == State.ENDED);
            assertThat(pair.atSource.health().outageCount()).isGreaterThan(5);
        }
    }

    @Test
    void readingStopsWhenTheWindowIsFullAndTheLinkIsGone() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 1);
            pair.source.window(300_000);
            pair.proxy.refuse(true);
            pair.proxy.cut(Cut.RST);
            until(pair, () -> !pair.source.status().linkUp());
            Thread writer = Thread.ofPlatform().daemon().start(() -> {
                try {
                    main.write(new byte[5 << 20]);
                } catch (java.io.IOException e) {
                    throw new java.io.UncheckedIOException(e);
                }
            });
            until(pair, () -> pair.source.status().channels().getFirst().inFlightBytes() >= 300_000);
            quiet(() -> pair.source.status().channels().getFirst().inFlightBytes() >= 300_000);
            assertThat(pair.source.status().channels().getFirst().inFlightBytes())
                    .isBetween(300_000L, 300_064L);
            pair.proxy.refuse(false);
            pair.destination.accepted.getFirst().read(8 + (5 << 20));
            writer.join();
        }
    }

    @Test
    void closingADaemonsRelayEndsTheOther() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            main.write(FakeQemu.MAIN);
            until(pair, () -> pair.destination.accepted.size() == 1);
            pair.target.close();
            assertThat(main.isEnded()).isTrue();
            until(pair, () -> pair.source.status().state() == State.BROKEN);
            assertThat(pair.source.status().failure().orElseThrow().side()).isEqualTo(Side.DAEMON);
        }
    }

    @Test
    void nobodyListensAtTheDestination() throws Exception {
        try (RelayPair pair = pair(false, 0);
                Connection main = FakeQemu.connect(pair.sourceSocket)) {
            pair.destination.close();
            main.write(FakeQemu.MAIN);
            assertThat(main.isEnded()).isTrue();
            until(pair, () -> pair.source.status().state() == State.BROKEN);
            assertThat(pair.source.status().failure().orElseThrow().side()).isEqualTo(Side.DESTINATION_QEMU);
        }
    }
}
