package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.PostcopyPolicy;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.IntStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The way into postcopy, and postcopy over one connection. What breaks is in {@link PostcopyRecoveryTest}. */
@DisplayName("Outgoing postcopy")
class PostcopyMigrationTest extends PostcopyFixture {
    private static final EventSink NOBODY = (name, event, data) -> {};

    private static PostcopyInfo postcopy(OutgoingMigration migration) {
        return Objects.requireNonNull(migration.info().postcopy());
    }

    private static List<String> pages(String block, int from, int to) {
        return IntStream.range(from, to).mapToObj(page -> block + ":" + page).toList();
    }

    @Test
    void sendsItsElementsInThisOrder() throws Exception {
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = started(peer);
            assertCompleted(migration, peer);

            awaitTrue(() -> peer.seen().contains("end of connection"));
            assertThat(peer.seen())
                    .containsExactly(
                            "connection 1",
                            "header test-1.0",
                            "OpenReturnPath",
                            "PING 1",
                            "ADVISE 1000 1000",
                            "START ram",
                            "DISCARD m0 0+256",
                            "PING 2",
                            "PACKAGED 188",
                            "LISTEN",
                            "FULL 2 cpu",
                            "FULL 3 globalstate",
                            "PING 3",
                            "PING 66",
                            "RUN",
                            "PING 4",
                            "PART",
                            "END",
                            "PING 69",
                            "EOF",
                            "PING 70",
                            "end of connection");
            assertThat(events.all())
                    .containsExactly(
                            "status setup",
                            "status active",
                            "STOP",
                            "status device",
                            "status postcopy-active",
                            "status completed");
            assertThat(guest.calls)
                    .containsExactly(
                            "open dirty log",
                            "stopped while running",
                            "released for postcopy",
                            "release",
                            "postcopy ended",
                            "close dirty log");
            assertThat(peer.mainPages()).as("each page once").isEqualTo(pages("m0", 0, PAGES));
            assertThat(migration.info().downtime()).isNotNull();
            assertThat(postcopy(migration).backgroundPages()).isEqualTo(PAGES);
        }
    }

    @Test
    void theLastByteOfThePackageFollowsTheRelease() throws Exception {
        AtomicReference<List<String>> seenAtRelease = new AtomicReference<>(List.of());
        try (PostcopyPeer peer = peer()) {
            release = new NotedRelease() {
                @Override
                public void writeForPostcopy() throws IOException {
                    // All but one has left; it does not follow by itself.
                    awaitTrue(() -> peer.bytesOfPackageLeft() == 1);
                    seenAtRelease.set(peer.seen());
                    super.writeForPostcopy();
                }
            };
            OutgoingMigration migration = started(peer);
            assertCompleted(migration, peer);

            assertThat(seenAtRelease.get()).last().isEqualTo("PACKAGED 188");
        }
    }

    /** Every fourth of 120 pages is written after the first pass: 30 runs, in commands of 12, 12 and 6. */
    @Test
    void discardsWhatIsDirtyInCommandsOfTwelveRanges() throws Exception {
        AtomicBoolean written = new AtomicBoolean();
        EventSink writeAfterTheFirstLook = (name, event, data) -> {
            if (event.equals("MIGRATION_PASS") && !written.getAndSet(true)) {
                write(0);
            }
        };
        guest.onStop(() -> IntStream.range(0, 30).forEach(i -> write(4 * i)));
        parameters = with(0, PostcopyPolicy.AFTER_FIRST_PASS, 60_000);
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = new OutgoingMigration(request(guest, peer, writeAfterTheFirstLook));
            migration.start();
            assertCompleted(migration, peer);

            assertThat(peer.seen().stream().filter(element -> element.startsWith("DISCARD")))
                    .containsExactly(
                            "DISCARD m0 0+1,4+1,8+1,12+1,16+1,20+1,24+1,28+1,32+1,36+1,40+1,44+1",
                            "DISCARD m0 48+1,52+1,56+1,60+1,64+1,68+1,72+1,76+1,80+1,84+1,88+1,92+1",
                            "DISCARD m0 96+1,100+1,104+1,108+1,112+1,116+1");
            assertThat(peer.mainPages())
                    .isEqualTo(
                            IntStream.range(0, 30).mapToObj(i -> "m0:" + 4 * i).toList());
        }
    }

    private void write(int page) {
        try {
            guest.write("m0", page, 0x5a);
        } catch (ErrnoException e) {
            throw new AssertionError("guest memory can't be written", e);
        }
    }

    @Test
    void aRequestedPageGoesBeforeAllOthersAndTheNextOnesBehindIt() throws Exception {
        crawl();
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", p -> p.request("m0", 200, 1));
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.mainPages().contains("m0:200"));

            assertThat(peer.mainPages())
                    .as("bandwidth is for what nobody waits for")
                    .hasSizeLessThan(PAGES / 2)
                    .doesNotContain("m0:216");
            hurry(migration);
            assertCompleted(migration, peer);

            List<String> came = peer.mainPages();
            int at = came.indexOf("m0:200");
            assertThat(came.subList(at, at + 16)).isEqualTo(pages("m0", 200, 216));
            assertThat(came).hasSize(PAGES).doesNotHaveDuplicates();
            PostcopyInfo counted = postcopy(migration);
            assertThat(counted.requests()).isEqualTo(1);
            assertThat(counted.urgentPages()).isEqualTo(1);
            assertThat(counted.nearPages()).isEqualTo(15);
            assertThat(counted.backgroundPages()).isEqualTo(PAGES - 16);
            assertThat(Objects.requireNonNull(migration.info().ram()).postcopyRequests())
                    .isEqualTo(1);
        }
    }

    @Test
    void pagesThatWereSentAreNotSentAgainWhateverIsAskedFor() throws Exception {
        crawl();
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", p -> {
                for (int i = 0; i < 100; i++) {
                    p.request("m0", 3, 1);
                    p.request("m0", 0, PAGES);
                }
            });
            OutgoingMigration migration = started(peer);
            assertCompleted(migration, peer);

            assertThat(peer.mainPages()).hasSize(PAGES).doesNotHaveDuplicates();
        }
    }

    @Test
    void withPreemptTheSecondChannelCarriesRequestedPagesAndNothingElse() throws Exception {
        crawl();
        try (PostcopyPeer peer = preemptingPeer()) {
            peer.at("RUN", p -> {
                p.request("m0", 200, 1);
                p.request("m0", 250, 1);
            });
            OutgoingMigration migration = started(peer, Capability.POSTCOPY_PREEMPT);
            awaitTrue(() -> peer.urgentPages().size() == 2);
            assertThat(peer.urgentPages()).containsExactly("m0:200", "m0:250");
            assertThat(peer.mainPages()).doesNotContain("m0:200", "m0:250");

            hurry(migration);
            assertCompleted(migration, peer);

            awaitTrue(() -> peer.seen().contains("second connection closed"));
            assertThat(peer.urgentPages()).containsExactly("m0:200", "m0:250");
            assertThat(peer.mainPages()).hasSize(PAGES - 2).doesNotHaveDuplicates();
            assertThat(peer.seen())
                    .containsSubsequence("PING 1", "DISCARD m0 0+256", "PING 2", "second connection", "LISTEN", "RUN")
                    .containsSubsequence("EOF", "second connection closed");
            assertThat(postcopy(migration).urgentPages()).isEqualTo(2);
        }
    }

    @Test
    void hugePagesGoWholeAndContiguous() throws Exception {
        guest.close();
        guest = new MemoryGuest("g").with("huge", 1024).with("m0", PAGES);
        guest.randomize("m0", 8);
        // In a huge page, data and holes.
        guest.write("huge", 3, 1);
        guest.write("huge", 700, 2);
        crawl();
        try (PostcopyPeer peer = peer()) {
            peer.at("RUN", p -> p.request("huge", 512 + 17, 1));
            OutgoingMigration migration = new OutgoingMigration(request(new HugePageGuest(guest), peer, events));
            assertThat(migration.startPostcopy()).isEmpty();
            migration.start();
            awaitTrue(() -> peer.mainPages().contains("huge:1023"));
            hurry(migration);
            assertCompleted(migration, peer);

            assertThat(peer.seen())
                    .containsSubsequence(
                            "ADVISE 201000 1000",
                            "block huge of pages of 2097152",
                            "START ram",
                            "DISCARD huge 0+1024",
                            "DISCARD m0 0+256");
            List<String> came = peer.mainPages();
            int asked = came.indexOf("huge:512");
            assertThat(came.subList(asked, asked + 512)).isEqualTo(pages("huge", 512, 1024));
            int other = came.indexOf("huge:0");
            assertThat(came.subList(other, other + 512)).isEqualTo(pages("huge", 0, 512));
            assertThat(peer.contents("huge")).isEqualTo(guest.contents("huge"));
            assertThat(postcopy(migration).urgentPages()).isEqualTo(512);
            assertThat(postcopy(migration).nearPages()).isZero();
        }
    }

    @Test
    void aHugePageThatWasWrittenInOnePlaceIsDroppedAndSentAsAWhole() throws Exception {
        guest.close();
        guest = new MemoryGuest("g").with("huge", 1024).with("m0", PAGES);
        AtomicBoolean written = new AtomicBoolean();
        guest.onStop(() -> {
            try {
                guest.write("huge", 600, 3);
            } catch (ErrnoException e) {
                throw new GuestException("no memory", e);
            }
        });
        EventSink writeAfterTheFirstLook = (name, event, data) -> {
            if (event.equals("MIGRATION_PASS") && !written.getAndSet(true)) {
                write(5);
            }
        };
        parameters = with(0, PostcopyPolicy.AFTER_FIRST_PASS, 60_000);
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration =
                    new OutgoingMigration(request(new HugePageGuest(guest), peer, writeAfterTheFirstLook));
            migration.start();
            assertCompleted(migration, peer);

            assertThat(peer.seen()).containsSubsequence("DISCARD huge 512+512", "DISCARD m0 5+1");
            assertThat(peer.mainPages()).hasSize(513).startsWith("huge:512").endsWith("m0:5");
        }
    }

    // Before the release any failure leaves the guest here.

    @ParameterizedTest
    @ValueSource(strings = {"header test-1.0", "PING 1", "ADVISE 1000 1000", "START ram", "DISCARD m0 0+256", "PING 2"})
    void aCutBeforeTheReleaseLeavesTheGuestHere(String element) throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at(element, PostcopyPeer::cut);
            assertRunsHere(started(peer), "");
            assertThat(peer.seen()).doesNotContain("LISTEN");
            assertThat(guest.calls).doesNotContain("released for postcopy");
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"START ram", "DISCARD m0 0+256", "PING 2"})
    void theEndOfTheReturnPathBeforeTheReleaseLeavesTheGuestHere(String element) throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at(element, PostcopyPeer::endReturnPath);
            assertRunsHere(started(peer), "return path");
            assertThat(peer.seen()).doesNotContain("LISTEN");
        }
    }

    @Test
    void anAnswerToTheDiscardsThatDoesNotComeLeavesTheGuestHere() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("PING 2", PostcopyPeer.NOTHING);
            assertRunsHere(started(peer), "has not answered PING 2 within 1500 ms");
        }
    }

    @Test
    void aDestinationThatTakesNoSecondConnectionLeavesTheGuestHere() throws Exception {
        try (PostcopyPeer peer = preemptingPeer()) {
            peer.at("PING 1", p -> {
                p.stopListening();
                p.pong(1);
            });
            assertRunsHere(started(peer, Capability.POSTCOPY_PREEMPT), "no connection to unix:");
            assertThat(guest.calls).doesNotContain("stopped while running");
        }
    }

    @Test
    void aReleaseThatCannotBeWrittenLeavesTheGuestHere() throws Exception {
        release = new NotedRelease() {
            @Override
            public void writeForPostcopy() throws IOException {
                throw new IOException("the disk is full");
            }
        };
        try (PostcopyPeer peer = peer()) {
            assertRunsHere(started(peer), "the disk is full");
            awaitTrue(() -> peer.seen().contains("broken"));
            assertThat(peer.seen()).doesNotContain("LISTEN");
            assertThat(events.all()).endsWith("RESUME", "status failed");
        }
    }

    @Test
    void aGuestThatDoesNotGiveItsDevicesStaysHere() throws Exception {
        guest.onSaveDevices(() -> {
            throw new GuestException("device cpu is busy");
        });
        try (PostcopyPeer peer = peer()) {
            assertRunsHere(started(peer), "device cpu is busy");
        }
    }

    @Test
    void isCancelledBeforeTheRelease() throws Exception {
        try (PostcopyPeer peer = peer()) {
            peer.at("PING 2", PostcopyPeer.NOTHING);
            OutgoingMigration migration = started(peer);
            awaitTrue(() -> peer.seen().contains("PING 2"));

            assertThat(migration.cancel()).isTrue();
            awaitEnd(migration);

            assertThat(migration.status()).isEqualTo(OutgoingStatus.CANCELLED);
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        }
    }

    @Test
    void waitsAtTheGateWithTheGuestStopped() throws Exception {
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = started(peer, Capability.PAUSE_BEFORE_SWITCHOVER);
            awaitStatus(migration, OutgoingStatus.PRE_SWITCHOVER);
            assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);
            assertThat(migration.startPostcopy()).contains("the migration is about to complete without postcopy");

            assertThat(migration.continueSwitchover()).isTrue();
            assertCompleted(migration, peer);
        }
    }

    @Test
    void waitsForTheDestinationsApproval() throws Exception {
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = started(peer, Capability.SWITCHOVER_ACK);
            awaitTrue(() -> peer.seen().contains("START ram"));
            assertThat(migration.awaitEnd(200)).isFalse();
            assertThat(migration.status()).isEqualTo(OutgoingStatus.ACTIVE);

            peer.main().writeSmall(new byte[] {0, 7, 0, 0});
            awaitEnd(migration);
            assertThat(migration.status()).isEqualTo(OutgoingStatus.COMPLETED);
        }
    }

    // In postcopy.

    @Test
    void isNotCancelledInPostcopy() throws Exception {
        crawl();
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = started(peer);
            awaitStatus(migration, OutgoingStatus.POSTCOPY_ACTIVE);

            assertThat(migration.cancel()).isFalse();
            assertThat(migration.startPostcopy()).contains("the migration is in postcopy already");
            assertThat(migration.status()).isEqualTo(OutgoingStatus.POSTCOPY_ACTIVE);
            hurry(migration);
            assertCompleted(migration, peer);
        }
    }

    /** A guest that does not write: nothing is gained by postcopy. */
    @Test
    void completesAsPrecopyIfThatConverges() throws Exception {
        parameters = MigrationParameters.DEFAULTS;
        try (PostcopyPeer peer = peer()) {
            peer.at("PING 68", p -> p.pong(68));
            OutgoingMigration migration = migration(peer);
            migration.start();
            awaitEnd(migration);

            assertThat(migration.status()).isEqualTo(OutgoingStatus.COMPLETED);
            assertThat(peer.seen()).contains("ADVISE 1000 1000", "PING 68").doesNotContain("LISTEN");
            assertThat(guest.calls).contains("released in writing").doesNotContain("postcopy ended");
            assertThat(postcopy(migration).recoveryCount()).isZero();
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = PostcopyPolicy.class,
            names = {"AFTER_FIRST_PASS", "AUTO"})
    void goesOverByItselfWhenThePolicySaysSo(PostcopyPolicy policy) throws Exception {
        guest.startWriting(PAGES);
        parameters = new MigrationParameters(4 << 20, 0, 0, 64 << 10, 50, 550, 5, 100, 0, policy, 300);
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = migration(peer);
            migration.start();
            assertCompleted(migration, peer);

            assertThat(events.all()).contains("status postcopy-active");
        }
    }

    @Test
    void neverMeansNever() throws Exception {
        guest.startWriting(PAGES);
        parameters = new MigrationParameters(4 << 20, 0, 0, 64 << 10, 50, 550, 5, 100, 0, PostcopyPolicy.NEVER, 1);
        try (PostcopyPeer peer = peer()) {
            OutgoingMigration migration = migration(peer);
            migration.start();
            awaitTrue(() -> Objects.requireNonNull(migration.info().ram()).dirtySyncCount() > 3);

            assertThat(migration.startPostcopy()).contains("parameter 'postcopy-policy' is 'never'");
            assertThat(migration.status()).isEqualTo(OutgoingStatus.ACTIVE);
            migration.close();
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        }
    }

    @Test
    void isRefusedWithoutTheCapability() throws Exception {
        List<String> refusals = new ArrayList<>();
        try (PostcopyPeer peer = peer()) {
            OutgoingRequest plain = request(guest, peer, NOBODY);
            OutgoingMigration migration = new OutgoingMigration(new OutgoingRequest(
                    "t",
                    guest,
                    peer.uri(),
                    links,
                    Set.of(Capability.RETURN_PATH),
                    plain.parameters(),
                    NOBODY,
                    REPLY_TIMEOUT_MILLIS,
                    recovery,
                    release));
            migration.startPostcopy().ifPresent(refusals::add);
            migration.pause().ifPresent(refusals::add);
            migration.resume(peer.uri()).ifPresent(refusals::add);

            assertThat(refusals)
                    .containsExactly(
                            "capability 'postcopy-ram' was off when the migration started",
                            "only postcopy can be paused, this migration is setup",
                            "only paused postcopy can be resumed, this migration is setup");
            assertThat(migration.info().postcopy()).isNull();
        }
    }
}
