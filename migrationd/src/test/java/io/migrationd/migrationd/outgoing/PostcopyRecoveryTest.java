package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import io.migrationd.migrationd.session.RecoveryLog;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.IOException;
import java.util.Arrays;
import java.util.BitSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What breaks after the release: the migration pauses, comes back and loses nothing. */
@DisplayName("Recovery of outgoing postcopy")
class PostcopyRecoveryTest extends PostcopyFixture {
    private static PostcopyInfo postcopy(OutgoingMigration migration) {
        return Objects.requireNonNull(migration.info().postcopy());
    }

    private void manual() {
        recovery = new RecoverySettings(false, 100, 2_000, 60_000);
    }

    @ParameterizedTest(name = "{1} at {0}")
    @CsvSource({
        "RUN, cut",
        "PING 4, cut",
        "PART, cut",
        "END, cut",
        "PING 69, cut",
        "EOF, cut",
        "RUN, ends the return path",
        "PING 4, ends the return path",
        "PART, ends the return path",
        "END, ends the return path",
        "EOF, ends the return path",
        "PART, garbage",
        "PART, asks outside",
        "PART, reports failure",
        "PART, says complete too early",
        "EOF, reports failure"
    })
    void comesBackFromWhateverBreaks(String element, String how) throws Exception {
        if (element.equals("PART")) {
            crawl();
        }
        try (PostcopyPeer peer = peer()) {
            AtomicInteger times = new AtomicInteger();
            peer.at(element, p -> {
                if (times.getAndIncrement() > 0) {
                    if (element.equals("EOF")) {
                        p.shut(0);
                    } else if (element.equals("PING 69")) {
                        p.pong(69);
                    }
                    return;
                }
                switch (how) {
                    case "cut" -> p.cut();
                    case "garbage" -> p.reply(0x42, 1);
                    case "asks outside" -> p.request("m0", PAGES, 1);
                    case "reports failure" -> p.shut(1);
                    case "says complete too early" -> p.shut(0);
                    default -> p.endReturnPath();
                }
            });
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> postcopy(migration).recoveryCount() > 0);
            hurry(migration);
            assertCompleted(migration, peer);

            assertThat(events.all())
                    .containsSubsequence(
                            "status postcopy-active",
                            "status postcopy-paused",
                            "status postcopy-recover-setup",
                            "status postcopy-recover",
                            "status postcopy-active",
                            "status completed");
            assertThat(peer.seen(2)).startsWith("RECV_BITMAP m0", "RESUME");
            assertThat(peer.connections()).isEqualTo(2);
            Recovery episode = postcopy(migration).recoveries().getFirst();
            assertThat(episode.cause()).isNotBlank();
            assertThat(episode.reconnectMicros()).isNotNull();
            assertThat(episode.resyncMicros()).isNotNull();
            assertThat(episode.firstPageMicros()).isNotNull();
        }
    }

    @Test
    void sendsAgainExactlyWhatTheBitmapLacks() throws Exception {
        crawl();
        AtomicReference<BitSet> had = new AtomicReference<>(new BitSet());
        AtomicInteger sentBefore = new AtomicInteger();
        try (PostcopyPeer peer = peer()) {
            peer.at("PART", PostcopyPeer::cut);
            peer.at("2: RESUME", p -> {
                had.set(p.received("m0"));
                sentBefore.set(p.mainPages().size());
                p.at("PART", PostcopyPeer.NOTHING);
                p.resumeAck();
            });
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.connections() == 2);
            hurry(migration);
            assertCompleted(migration, peer);

            assertThat(had.get().cardinality()).isBetween(1, PAGES - 1);
            List<String> again =
                    peer.mainPages().subList(sentBefore.get(), peer.mainPages().size());
            assertThat(again)
                    .containsExactlyInAnyOrderElementsOf(IntStream.range(0, PAGES)
                            .filter(page -> !had.get().get(page))
                            .mapToObj(page -> "m0:" + page)
                            .toList());
        }
    }

    @Test
    void whatIsStillMissingIsAskedForAgainAndComesFirst() throws Exception {
        crawl();
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer::cut);
            peer.at("2: RESUME", p -> {
                p.resumeAck();
                p.request("m0", 99, 1);
            });
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.mainPages().contains("m0:99"));
            hurry(migration);
            assertCompleted(migration, peer);
            assertThat(postcopy(migration).urgentPages()).isEqualTo(1);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"accept", "RECV_BITMAP m0", "half a bitmap", "bitmap", "RESUME", "RESUME, one direction"})
    void aSecondBreakInTheHandshakeIsAnotherPause(String where) throws Exception {
        crawl();
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer::cut);
            switch (where) {
                case "accept" -> peer.at("connection 2", PostcopyPeer::cut);
                case "RECV_BITMAP m0" -> peer.at("2: RECV_BITMAP m0", PostcopyPeer::cut);
                case "half a bitmap" ->
                    peer.at("2: RECV_BITMAP m0", p -> {
                        byte[] message = p.bitmapMessage("m0");
                        p.main().writeSmall(Arrays.copyOf(message, message.length / 2));
                        p.endReturnPath();
                    });
                case "bitmap" ->
                    peer.at("2: RECV_BITMAP m0", p -> {
                        p.bitmap("m0");
                        p.cut();
                    });
                case "RESUME" -> peer.at("2: RESUME", PostcopyPeer::cut);
                default -> peer.at("2: RESUME", PostcopyPeer::endReturnPath);
            }
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.connections() == 3);
            hurry(migration);
            assertCompleted(migration, peer);

            assertThat(peer.seen(3)).startsWith("RECV_BITMAP m0", "RESUME");
            assertThat(postcopy(migration).recoveryCount()).isEqualTo(1);
            assertThat(postcopy(migration).recoveries().getFirst().attempts()).isEqualTo(2);
        }
    }

    @Test
    void anAnswerInTheHandshakeThatDoesNotComeIsWaitedForOnlySoLong() throws Exception {
        recovery = new RecoverySettings(true, 100, 300, 60_000);
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer::cut).at("2: RECV_BITMAP m0", PostcopyPeer.NOTHING);
            OutgoingMigration migration = started(peer);
            assertCompleted(migration, peer);

            assertThat(peer.connections()).isEqualTo(3);
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        bitmap of no block      | 0005 0003 02 6d39
        bitmap of another size  | 0005 0003 02 6d30 0000000000000008 0000000000000000 0123456789abcdef
        no end mark             | 0005 0003 02 6d30 0000000000000020 0000000000000000 0000000000000000 0000000000000000 0000000000000000 0123456789abcdee
        ack of 2                | 0006 0004 00000002
        """)
    void badBytesInTheHandshakeAreAnotherPause(String what, String hex) throws Exception {
        try (PostcopyPeer peer = peer()) {
            byte[] bytes = HexFormat.of().parseHex(hex.replace(" ", ""));
            peer.at("RUN", PostcopyPeer::cut)
                    .at("2: RECV_BITMAP m0", p -> p.main().writeSmall(bytes));
            OutgoingMigration migration = started(peer);
            assertCompleted(migration, peer);

            assertThat(peer.connections()).as(what).isEqualTo(3);
        }
    }

    @Test
    void keepsTryingWhileNobodyListens() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", p -> {
                p.stopListening();
                p.cut();
            });
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> postcopy(migration).recoveries().stream().anyMatch(r -> r.attempts() > 3));
            assertThat(migration.status()).isEqualTo(OutgoingStatus.POSTCOPY_PAUSED);
            assertThat(migration.info().errorDesc()).contains("no way back yet: no connection to unix:");
            assertThat(migration.cancel()).isFalse();
            assertThat(events.all()).as("silent attempts").doesNotContain("status postcopy-recover-setup");

            peer.listenAgain();
            assertCompleted(migration, peer);
        }
    }

    // What a destination that has ended says.

    @Test
    void aDestinationThatHasEverythingEndsIt() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("1: EOF", PostcopyPeer::cut).at("2: RECV_BITMAP m0", p -> p.shut(0));
            OutgoingMigration migration = started(peer);
            assertCompleted(migration, peer);

            assertThat(events.all()).endsWith("status postcopy-recover", "status completed");
        }
    }

    @Test
    void aGuestThatNeverRanThereGoesOnHere() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer::cut).at("2: RECV_BITMAP m0", p -> p.shut(2));
            OutgoingMigration migration = started(peer);
            assertRunsHere(migration, "the destination never ran the guest and never will: it goes on here");

            assertThat(guest.calls)
                    .containsSubsequence(
                            "released for postcopy", "taken back", "postcopy ended", "resume after failure");
            assertThat(events.all()).endsWith("status postcopy-recover", "RESUME", "status failed");
        }
    }

    @Test
    void theSameWordOnTheFirstConnection() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("FULL 2 cpu", p -> p.shut(2));
            assertRunsHere(started(peer), "the destination never ran the guest");
            assertThat(peer.connections()).isEqualTo(1);
        }
    }

    @Test
    void whatCannotBeTakenBackInWritingStaysGiven() throws Exception {
        AtomicInteger refusals = new AtomicInteger();
        release = new NotedRelease() {
            @Override
            public void takeBack() throws IOException {
                if (refusals.getAndIncrement() < 2) {
                    throw new IOException("the disk is full");
                }
                super.takeBack();
            }
        };
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", p -> p.shut(2)).at("RECV_BITMAP m0", p -> p.shut(2));
            OutgoingMigration migration = started(peer);
            assertRunsHere(migration, "the destination never ran the guest");
            assertThat(peer.connections()).as("asked again, and again").isEqualTo(3);
        }
    }

    @Test
    void aDestinationThatFailedWithoutAWordAboutTheGuestLeavesItPaused() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer::cut).at("RECV_BITMAP m0", p -> p.shut(1));
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.connections() > 3);

            assertThat(migration.info().errorDesc())
                    .contains("the destination has failed (1) and does not say whether it ran the guest");
            assertThat(migration.isReleased()).isTrue();
            assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);
            migration.close();
            assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);
        }
    }

    // By hand.

    @Test
    void withoutAutoItWaitsForTheOperator() throws Exception {
        manual();
        try (PostcopyPeer peer = peer();
                PostcopyPeer elsewhere = new PostcopyPeer(links, unix("other.sock"), false)) {
            peer.at("RUN", PostcopyPeer::cut);
            OutgoingMigration migration = started(peer);
            awaitStatus(migration, OutgoingStatus.POSTCOPY_PAUSED);
            assertThat(migration.awaitEnd(200)).isFalse();
            assertThat(peer.connections()).isEqualTo(1);

            assertThat(migration.resume(unix("nobody"))).isEmpty();
            awaitTrue(() -> events.all().getLast().equals("status postcopy-paused")
                    && events.all().contains("status postcopy-recover-setup"));
            assertThat(migration.info().errorDesc()).contains("no way back yet: no connection to unix:");
            elsewhere.goesOnFor(peer);
            assertThat(migration.resume(elsewhere.uri())).isEmpty();
            awaitEnd(migration);

            assertThat(migration.status()).isEqualTo(OutgoingStatus.COMPLETED);
            assertThat(elsewhere.contents("m0")).isEqualTo(guest.contents("m0"));
            assertThat(peer.connections()).isEqualTo(1);
        }
    }

    @Test
    void aPauseByHandLastsUntilResumed() throws Exception {
        crawl();
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = started(peer);
            awaitStatus(migration, OutgoingStatus.POSTCOPY_ACTIVE);
            assertThat(migration.resume(peer.uri()))
                    .contains("only paused postcopy can be resumed, this migration is postcopy-active");

            assertThat(migration.pause()).isEmpty();
            awaitStatus(migration, OutgoingStatus.POSTCOPY_PAUSED);
            assertThat(migration.info().errorDesc()).isEqualTo("paused by migrate-pause");
            awaitTrue(() -> peer.seen().contains("broken"));
            assertThat(migration.awaitEnd(300)).as("stays paused").isFalse();
            assertThat(peer.connections()).isEqualTo(1);

            assertThat(migration.resume(peer.uri())).isEmpty();
            hurry(migration);
            assertCompleted(migration, peer);
        }
    }

    @Test
    void aPauseInTheHandshakeIsOneToo() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer::cut).at("2: RECV_BITMAP m0", PostcopyPeer.NOTHING);
            OutgoingMigration migration = started(peer);
            awaitStatus(migration, OutgoingStatus.POSTCOPY_RECOVER);

            assertThat(migration.pause()).isEmpty();
            awaitStatus(migration, OutgoingStatus.POSTCOPY_PAUSED);
            assertThat(migration.awaitEnd(300)).as("stays paused").isFalse();
            assertThat(migration.resume(peer.uri())).isEmpty();
            assertCompleted(migration, peer);
        }
    }

    // Peers that are gone without a word.

    @Test
    void aPeerThatDoesNotAnswerIsDead() throws Exception {
        recovery = new RecoverySettings(true, 100, 300, 60_000);
        crawl();
        try (PostcopyPeer peer = peer()) {
            peer.at("1: PING 69", PostcopyPeer.NOTHING);
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> postcopy(migration).recoveryCount() == 1);
            hurry(migration);
            assertCompleted(migration, peer);

            Recovery episode = postcopy(migration).recoveries().getFirst();
            assertThat(episode.cause()).contains("does not answer and has sent nothing for");
            assertThat(episode.detectMicros()).isGreaterThan(290_000);
        }
    }

    @Test
    void aPeerThatReadsNoMoreIsDead() throws Exception {
        recovery = new RecoverySettings(true, 100, 300, 60_000);
        CountDownLatch goOn = new CountDownLatch(1);
        try (PostcopyPeer peer = peer()) {
            peer.at("1: PING 4", p -> goOn.await());
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> postcopy(migration).recoveryCount() == 1);
            goOn.countDown();
            assertCompleted(migration, peer);
        }
    }

    @Test
    void aLastWordThatDoesNotComeIsAskedForAgain() throws Exception {
        recovery = new RecoverySettings(true, 100, 300, 60_000);
        try (PostcopyPeer peer = peer()) {
            peer.at("1: EOF", PostcopyPeer.NOTHING).at("2: RECV_BITMAP m0", p -> p.shut(0));
            assertCompleted(started(peer), peer);
        }
    }

    // The channel of urgent pages.

    @ParameterizedTest
    @ValueSource(booleans = {true, false})
    void aBreakOfOneChannelBreaksBoth(boolean ofTheSecond) throws Exception {
        crawl();
        try (PostcopyPeer peer = preemptingPeer()) {
            OutgoingMigration migration = started(peer, Capability.POSTCOPY_PREEMPT);
            awaitTrue(() -> peer.seen().contains("PART"));
            if (ofTheSecond) {
                peer.cutUrgent();
            } else {
                peer.cut();
            }
            awaitTrue(() -> peer.connections() == 2);
            awaitTrue(() -> peer.seen(2).contains("RESUME"));
            peer.request("m0", 222, 1);
            awaitTrue(() -> peer.urgentPages().contains("m0:222"));
            hurry(migration);
            assertCompleted(migration, peer);

            assertThat(withoutEnds(peer.seen(2))).startsWith("RECV_BITMAP m0", "second connection", "RESUME");
        }
    }

    /** The end of an earlier second connection may be seen late. */
    private static List<String> withoutEnds(List<String> seen) {
        return seen.stream()
                .filter(line -> !line.equals("second connection closed"))
                .toList();
    }

    /**
     * A destination as old as QEMU 7.2 takes its first connection for the main one, and does not outlive its loss. A
     * preempt channel that gets through where its main connection did not must not be that first one.
     */
    @Test
    void aPreemptChannelOfTheOldStyleNeverComesAlone() throws Exception {
        crawl();
        guest.ofMachine("pc-i440fx-7.2");
        try (PostcopyPeer peer = preemptingPeer().oldStyle()) {
            peer.at("RUN", PostcopyPeer::cut);
            for (int number = 2; number < 6; number++) {
                peer.at("connection " + number, PostcopyPeer::cut);
            }
            OutgoingMigration migration = started(peer, Capability.POSTCOPY_PREEMPT);
            awaitTrue(() -> peer.connections() >= 6);
            hurry(migration);
            assertCompleted(migration, peer);

            assertThat(peer.connections()).isEqualTo(6);
            assertThat(withoutEnds(peer.seen(6))).startsWith("second connection", "RECV_BITMAP m0", "RESUME");
            assertThat(peer.seen()).contains("end mark");
        }
    }

    // The daemon stops and starts.

    @Test
    void theNextDaemonGoesOn() throws Exception {
        crawl();
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.seen().contains("PART"));

            migration.close();
            assertThat(migration.isBusy()).isFalse();
            assertThat(migration.isReleased()).isTrue();
            assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);
            assertThat(guest.calls).doesNotContain("postcopy ended", "release", "resume after failure");
            awaitTrue(() -> peer.seen().contains("broken"));
            List<String> sentBefore = peer.mainPages();

            List<Long> breaks = new CopyOnWriteArrayList<>();
            release = new NotedRelease() {
                @Override
                public void broken(long times) {
                    breaks.add(times);
                }
            };
            OutgoingMigration next = OutgoingMigration.reopen(request(guest, peer, events), 3);
            assertThat(next.status()).isEqualTo(OutgoingStatus.POSTCOPY_PAUSED);
            assertThat(next.isReleased()).isTrue();
            assertThat(next.isBusy()).isTrue();
            next.start();
            awaitTrue(() -> peer.connections() == 2);
            hurry(next);
            assertCompleted(next, peer);

            assertThat(events.all())
                    .containsSubsequence(
                            "status postcopy-active",
                            "status postcopy-paused",
                            "status postcopy-recover-setup",
                            "status postcopy-recover",
                            "status postcopy-active",
                            "status completed");
            assertThat(postcopy(next).recoveryCount()).isEqualTo(4);
            assertThat(postcopy(next).recoveries().getFirst().cause()).isEqualTo("the daemon was restarted");
            assertThat(breaks).containsExactly(4L);
            assertThat(peer.mainPages())
                    .startsWith(sentBefore.toArray(String[]::new))
                    .doesNotHaveDuplicates();
        }
    }

    @Test
    void theNextDaemonIsToldThatTheGuestNeverRan() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer.NOTHING)
                    .at("PING 4", PostcopyPeer.NOTHING)
                    .at("1: EOF", PostcopyPeer.NOTHING);
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.seen().contains("RUN"));
            migration.close();

            peer.at("RECV_BITMAP m0", p -> p.shut(2));
            OutgoingMigration next = OutgoingMigration.reopen(request(guest, peer, events), 3);
            next.start();
            assertRunsHere(next, "the destination never ran the guest");
        }
    }

    @Test
    void theDaemonStopsWhilePaused() throws Exception {
        manual();
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", PostcopyPeer::cut);
            OutgoingMigration migration = started(peer);
            awaitStatus(migration, OutgoingStatus.POSTCOPY_PAUSED);

            migration.close();

            assertThat(migration.isBusy()).isFalse();
            assertThat(migration.status()).isEqualTo(OutgoingStatus.POSTCOPY_PAUSED);
            assertThat(guest.calls).doesNotContain("postcopy ended", "release", "resume after failure");
        }
    }

    @Test
    void manyBreaksInARow() throws Exception {
        crawl();
        AtomicInteger breaks = new AtomicInteger();
        try (PostcopyPeer peer = peer()) {
            peer.at("PART", p -> {
                if (breaks.getAndIncrement() < 20) {
                    p.cut();
                }
            });
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> breaks.get() > 10);
            hurry(migration);
            assertCompleted(migration, peer);

            assertThat(postcopy(migration).recoveries()).hasSizeLessThanOrEqualTo(RecoveryLog.KEPT);
            assertThat(postcopy(migration).recoveryCount()).isGreaterThanOrEqualTo(10);
        }
    }
}
