package io.migrationd.migrationd.incoming;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RecordedEvents;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.RecoverySettings;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Four pages of RAM, one device; the source is nothing but bytes. */
@DisplayName("Incoming postcopy")
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class PostcopyIncomingTest {
    private static final String HEAD = "5145564d 00000003 07 00000008 \"test-1.0\" 08 0001 0000 08 0002 0004 00000001 ";
    private static final String ADVISE = "08 0003 0010 0000000000001000 0000000000001000 ";
    private static final String START = "01 00000001 03 \"ram\" 00000000 00000004"
            + " 0000000000004004 02 \"m0\" 0000000000004000 0000000000000010 7e 00000001 ";
    private static final String FIRST_PASS =
            "02 00000001 " + page(0, 1) + page(1, 1) + " 0000000000000010 7e 00000001 ";
    /** Page 1 was written again, pages 2 and 3 never came. */
    private static final String DISCARD = "08 0006 0015 00 02 \"m0\" 00 0000000000001000 0000000000003000 ";

    private static final String PING_2 = "08 0002 0004 00000002 ";
    private static final String LISTEN = "08 0004 0000 ";
    private static final String DEVICE = "04 00000002 03 \"cpu\" 00000000 00000002 01020304 7e 00000002 ";
    private static final String LOADED = "08 0002 0004 00000003 08 0002 0004 00000042 ";
    private static final String RUN = "08 0005 0000 ";
    private static final String PING_4 = "08 0002 0004 00000004 ";
    private static final String BEFORE_PACKAGE = HEAD + ADVISE + START + FIRST_PASS + DISCARD + PING_2;
    private static final String SWITCH = BEFORE_PACKAGE + packaged(LISTEN + DEVICE + LOADED + RUN) + PING_4;
    private static final String END = "03 00000001 0000000000000010 7e 00000001 00 ";
    private static final String ASK = "08 000a 0003 02 \"m0\" ";
    private static final String RESUME = "08 0009 0000 ";

    private static final String PONGS = "0002 0004 00000001 0002 0004 00000002 ";
    private static final String BITMAP_HEAD = "0005 0003 02 \"m0\" 0000000000000008 ";
    private static final String BITMAP_END = " 0123456789abcdef ";
    private static final String RESUME_ACK = "0006 0004 00000001 ";
    private static final String SHUT_COMPLETE = "0001 0004 00000000";
    private static final String SHUT_NEVER_RAN = "0001 0004 00000002";

    @TempDir
    private Path directory;

    private final Links links = new Links(5_000, 5_000);
    private final List<String> records = new CopyOnWriteArrayList<>();
    private final RecordedEvents events = new RecordedEvents();
    private MemoryGuest guest = new MemoryGuest("g");

    @BeforeEach
    void open() throws IOException {
        guest = new MemoryGuest("g").with("m0", 4).incoming();
    }

    @AfterEach
    void close() {
        guest.close();
        links.close();
    }

    private IncomingRequest request(Capability... more) {
        List<Capability> capabilities = new ArrayList<>(List.of(more));
        capabilities.add(Capability.POSTCOPY_RAM);
        return new IncomingRequest(
                "t",
                guest,
                MigrationUri.parse("unix:" + directory.resolve("in.sock")),
                links,
                Set.copyOf(capabilities),
                events,
                10_000,
                1 << 20,
                new RecoverySettings(true, 100, 1_000, 60_000),
                new Records());
    }

    private IncomingMigration listen(Capability... more) throws IOException {
        return IncomingMigration.listen(request(more));
    }

    private final class Records implements IncomingRequest.Acceptance {
        @Override
        public void write() {
            records.add("accepted");
        }

        @Override
        public void writeForPostcopy(MigrationUri listening) {
            records.add("may begin");
        }

        @Override
        public void postcopyEnded(boolean complete) {
            records.add(complete ? "complete" : "never ran");
        }

        @Override
        public void sourceKnows() {
            records.add("source knows");
        }
    }

    private static String page(int number, int value) {
        return "%016x 02 \"m0\" %s "
                .formatted(number * 4096L | 8, "%02x".formatted(value).repeat(4096));
    }

    private static String zero(int number) {
        return "%016x 02 \"m0\" 00 ".formatted(number * 4096L | 2);
    }

    private static String part(String records) {
        return "02 00000001 " + records + " 0000000000000010 7e 00000001 ";
    }

    private static String packaged(String content) {
        return "08 0007 0004 %08x ".formatted(bytes(content).length) + content;
    }

    private byte[] ram(int... values) {
        ByteArrayOutputStream all = new ByteArrayOutputStream();
        for (int value : values) {
            byte[] page = new byte[4096];
            Arrays.fill(page, (byte) value);
            all.writeBytes(page);
        }
        return all.toByteArray();
    }

    private static void awaitStatus(IncomingMigration migration, IncomingStatus status) {
        await().untilAsserted(() -> assertThat(migration.status()).isEqualTo(status));
    }

    private void assertComplete(IncomingMigration migration) throws IOException, InterruptedException {
        awaitStatus(migration, IncomingStatus.COMPLETED);
        assertThat(migration.awaitEnd(10_000)).isTrue();
        assertThat(guest.contents("m0")).isEqualTo(ram(1, 2, 0, 4));
        assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        assertThat(guest.calls).doesNotContain("abort");
    }

    @Test
    void runsTheGuestBeforeItsRamIsThere() throws Exception {
        try (IncomingMigration migration = listen();
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
            assertThat(guest.contents("m0")).isEqualTo(ram(1, 0, 0, 0));
            assertThat(records).containsExactly("may begin", "accepted");

            source.send(bytes(part(page(1, 2)) + part(zero(2) + page(3, 4)) + END))
                    .endOfInput();
            assertThat(source.reply()).startsWith(bytes(PONGS)).endsWith(bytes(SHUT_COMPLETE));
            assertComplete(migration);
        }
        assertThat(events.all())
                .containsExactly(
                        "status setup", "status active", "status postcopy-active", "RESUME", "status completed");
        assertThat(records).containsExactly("may begin", "accepted", "complete", "source knows");
    }

    @Test
    void recoversFromACut() throws Exception {
        try (IncomingMigration migration = listen()) {
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(SWITCH + part(page(1, 2))));
                awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            }
            awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            assertThat(migration.info().errorDesc()).contains("connection");
            assertThat(migration.info().socketAddresses()).hasSize(1);
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(ASK + RESUME + part(zero(2) + page(3, 4)) + END))
                        .endOfInput();
                assertThat(source.reply())
                        .startsWith(bytes(BITMAP_HEAD + "0300000000000000" + BITMAP_END + RESUME_ACK))
                        .endsWith(bytes(SHUT_COMPLETE));
            }
            assertComplete(migration);
            assertThat(migration.info().postcopy()).isNotNull().satisfies(info -> {
                assertThat(info.recoveryCount()).isEqualTo(1);
                assertThat(info.recoveries().getFirst().attempts()).isEqualTo(1);
                assertThat(info.recoveries().getFirst().reconnectMicros()).isNotNull();
            });
        }
        assertThat(events.all())
                .endsWith(
                        "status postcopy-active",
                        "RESUME",
                        "status postcopy-paused",
                        "status postcopy-recover",
                        "status postcopy-active",
                        "status completed");
    }

    /** Whoever comes while it is paused and does not speak as a source does changes nothing. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
        ''
        08
        5145564d 00000003
        08 000a 0003 02 "zz"
        02 00000001
        08 0009
        """)
    void staysPausedWhenACallerIsNoUse(String sent) throws Exception {
        try (IncomingMigration migration = listen()) {
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(SWITCH));
                awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            }
            awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            try (RawSource caller = new RawSource(migration.uri())) {
                caller.send(bytes(sent)).endOfInput();
                assertThat(caller.reply()).isEmpty();
            }
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(ASK + RESUME + part(page(1, 2) + zero(2) + page(3, 4)) + END))
                        .endOfInput();
                assertThat(source.reply()).startsWith(bytes(BITMAP_HEAD + "01")).endsWith(bytes(SHUT_COMPLETE));
            }
            assertComplete(migration);
        }
    }

    /** A cut in the handshake is a pause like any other, as often as it happens. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        08 000a 0003 02 "m0"
        08 000a 0003 02 "m0" 08 00
        08 000a 0003 02 "m0" 08 0009 0000
        08 000a 0003 02 "m0" 08 0009 0000 02 00000001 0000000000001008
        """)
    void survivesACutInTheHandshake(String sent) throws Exception {
        try (IncomingMigration migration = listen()) {
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(SWITCH));
                awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            }
            for (int i = 0; i < 3; i++) {
                awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
                try (RawSource caller = new RawSource(migration.uri())) {
                    caller.send(bytes(sent)).endOfInput();
                    assertThat(caller.reply()).startsWith(bytes(BITMAP_HEAD));
                }
                awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            }
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(ASK + RESUME + part(page(1, 2) + zero(2) + page(3, 4)) + END))
                        .endOfInput();
                assertThat(source.reply()).endsWith(bytes(SHUT_COMPLETE));
            }
            assertComplete(migration);
        }
    }

    @Test
    void followsASourceThatComesBackBeforeTheOldConnectionEnds() throws Exception {
        try (IncomingMigration migration = listen();
                RawSource silent = new RawSource(migration.uri())) {
            silent.send(bytes(SWITCH));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(ASK + RESUME + part(page(1, 2) + zero(2) + page(3, 4)) + END))
                        .endOfInput();
                assertThat(source.reply()).endsWith(bytes(SHUT_COMPLETE));
            }
            assertComplete(migration);
            assertThat(silent.reply()).startsWith(bytes(PONGS));
        }
    }

    @Test
    void pausesWhenHeartbeatsStop() throws Exception {
        try (IncomingMigration migration = listen();
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH + "08 0002 0004 00000045"));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            assertThat(migration.info().errorDesc()).contains("the source has been silent for");
        }
    }

    @Test
    void tellsASourceThatCallsLaterThatItIsComplete() throws Exception {
        try (IncomingMigration migration = listen()) {
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(SWITCH + part(page(1, 2) + zero(2) + page(3, 4)) + END));
                awaitStatus(migration, IncomingStatus.COMPLETED);
                source.reset();
            }
            try (RawSource late = new RawSource(migration.uri())) {
                late.send(bytes(ASK)).endOfInput();
                assertThat(late.reply()).isEqualTo(bytes(SHUT_COMPLETE));
            }
            // It may not have been the source who hung up: only this says that it has heard.
            assertThat(records).doesNotContain("source knows");
            try (RawSource late = new RawSource(migration.uri())) {
                late.send(bytes(ASK + "08 0002 0004 00000046")).endOfInput();
                assertThat(late.reply()).isEqualTo(bytes(SHUT_COMPLETE));
            }
            await().until(() -> records.contains("source knows"));
            assertComplete(migration);
        }
    }

    /** A guest that was not started here never will be: the source hears it, at once and whenever it asks. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        no RUN in the package     | 08 0004 0000
        an unknown device         | 08 0004 0000 04 00000003 03 "dev" 00000000 00000002
        LISTEN twice              | 08 0004 0000 08 0004 0000
        RUN before LISTEN         | 08 0005 0000
        the end of a stream       | 08 0004 0000 00
        a package in a package    | 08 0007 0004 00000001 00
        a discard behind LISTEN   | 08 0004 0000 08 0006 0015 00 02 "m0" 00 0000000000001000 0000000000003000
        """)
    void neverRanWhenThePackageIsBad(String what, String content) throws Exception {
        try (IncomingMigration migration = listen()) {
            try (RawSource source = new RawSource(migration.uri())) {
                source.send(bytes(BEFORE_PACKAGE + packaged(content))).endOfInput();
                assertThat(source.reply()).startsWith(bytes(PONGS)).endsWith(bytes(SHUT_NEVER_RAN));
            }
            awaitStatus(migration, IncomingStatus.FAILED);
            assertThat(guest.calls).contains("abort");
            assertThat(guest.runState()).isEqualTo(RunState.INMIGRATE);
            assertThat(records).containsExactly("may begin", "never ran");
            try (RawSource late = new RawSource(migration.uri())) {
                late.send(bytes(ASK)).endOfInput();
                assertThat(late.reply()).isEqualTo(bytes(SHUT_NEVER_RAN));
            }
        }
    }

    /** Before the discards are done nothing was given away, and nothing needs to be said later. */
    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        page size of the guest    | 08 0003 0010 0000000000001000 0000000000002000 | target-page-size
        page sizes of the host    | 08 0003 0010 0000000000201000 0000000000001000 | host-page-sizes
        no page sizes             | 08 0003 0000                                   | page sizes
        DISCARD first             | 08 0006 0015 00 02 "m0" 00 0000000000001000 0000000000003000 | DISCARD
        PACKAGED first            | 08 0007 0004 00000001 00                       | PACKAGED
        RUN first                 | 08 0005 0000                                   | RUN
        """)
    void refusesWhatIsNotLegal(String what, String command, String error) throws Exception {
        try (IncomingMigration migration = listen();
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(HEAD + command)).endOfInput();
            assertThat(source.reply()).endsWith(bytes("0001 0004 00000001"));
            awaitStatus(migration, IncomingStatus.FAILED);
            assertThat(migration.info().errorDesc()).contains(error);
            assertThat(records).isEmpty();
        }
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        block list in postcopy | 0000000000004004 02 "m0" 0000000000004000
        delta in postcopy      | 0000000000001040 02 "m0" 01 0000
        unknown block          | 0000000000001008 02 "zz"
        outside the block      | 0000000000004008 02 "m0"
        """)
    void pausesOnPagesThatAreNotLegal(String what, String records) throws Exception {
        try (IncomingMigration migration = listen();
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH + "02 00000001 " + records)).endOfInput();
            awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        }
    }

    @Test
    void isNotCompleteWithAPageMissing() throws Exception {
        try (IncomingMigration migration = listen();
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH + part(page(1, 2) + zero(2)) + END));
            awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            assertThat(migration.info().errorDesc()).contains("1 pages are missing");
        }
    }

    @Test
    void pausesWhenThePreemptChannelSwallowsPages() throws Exception {
        try (IncomingMigration migration = listen(Capability.POSTCOPY_PREEMPT);
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            try (RawSource _ = new RawSource(migration.uri())) {
                await().until(() -> {
                    source.send(bytes("08 0002 0004 00000045"));
                    return migration.status() == IncomingStatus.POSTCOPY_PAUSED;
                });
            }
            assertThat(migration.info().errorDesc())
                    .containsPattern("a page was asked for [0-9]{4} ms ago and the preempt channel is silent");
        }
    }

    @Test
    void waitsForSlowPagesOnThePreemptChannelWhileItIsNotSilent() throws Exception {
        try (IncomingMigration migration = listen(Capability.POSTCOPY_PREEMPT);
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            try (RawSource urgent = new RawSource(migration.uri())) {
                byte[] slow = bytes(page(3, 4));
                int step = slow.length / 8;
                for (int sent = 0; sent < slow.length; sent += step) {
                    source.send(bytes("08 0002 0004 00000045"));
                    urgent.send(Arrays.copyOfRange(slow, sent, Math.min(slow.length, sent + step)));
                    await().pollDelay(300, TimeUnit.MILLISECONDS).until(() -> true);
                }
                await().untilAsserted(() -> assertThat(guest.contents("m0")).isEqualTo(ram(1, 0, 0, 4)));
                assertThat(migration.status()).isEqualTo(IncomingStatus.POSTCOPY_ACTIVE);
            }
        }
    }

    @Test
    void takesPagesFromThePreemptChannelAndPausesWhenItBreaks() throws Exception {
        try (IncomingMigration migration = listen(Capability.POSTCOPY_PREEMPT);
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            try (RawSource urgent = new RawSource(migration.uri())) {
                urgent.send(bytes(page(3, 4)));
                await().untilAsserted(() -> assertThat(guest.contents("m0")).isEqualTo(ram(1, 0, 0, 4)));
                urgent.reset();
            }
            awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            assertThat(migration.info().errorDesc()).contains("preempt channel");
            try (RawSource again = new RawSource(migration.uri())) {
                again.send(bytes(ASK));
                awaitStatus(migration, IncomingStatus.POSTCOPY_RECOVER);
                try (RawSource urgent = new RawSource(migration.uri())) {
                    again.send(bytes(RESUME));
                    urgent.send(bytes(page(1, 2)));
                    await().untilAsserted(() -> assertThat(guest.contents("m0")).isEqualTo(ram(1, 2, 0, 4)));
                    again.send(bytes(part(zero(2)) + END)).endOfInput();
                    assertThat(again.reply())
                            .startsWith(bytes(BITMAP_HEAD + "09"))
                            .endsWith(bytes(SHUT_COMPLETE));
                }
            }
            assertComplete(migration);
        }
    }

    @Test
    void staysPausedByAnOperatorUntilItIsToldWhereToListen() throws Exception {
        try (IncomingMigration migration = listen();
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            assertThat(migration.pause()).isTrue();
            awaitStatus(migration, IncomingStatus.POSTCOPY_PAUSED);
            try (RawSource caller = new RawSource(migration.uri())) {
                assertThat(caller.send(bytes(ASK)).reply()).isEmpty();
            }
            migration.recover(MigrationUri.parse("unix:" + directory.resolve("other.sock")));
            try (RawSource again = new RawSource(migration.uri())) {
                again.send(bytes(ASK + RESUME + part(page(1, 2) + zero(2) + page(3, 4)) + END))
                        .endOfInput();
                assertThat(again.reply()).endsWith(bytes(SHUT_COMPLETE));
            }
            assertComplete(migration);
        }
    }

    @Test
    void goesOnAfterItsDaemonDied() throws Exception {
        IncomingMigration first = listen();
        try (RawSource source = new RawSource(first.uri())) {
            source.send(bytes(SWITCH + part(page(1, 2))));
            awaitStatus(first, IncomingStatus.POSTCOPY_ACTIVE);
            await().untilAsserted(() -> assertThat(guest.contents("m0")).isEqualTo(ram(1, 2, 0, 0)));
        }
        first.close();
        try (IncomingMigration second = IncomingMigration.reopen(request(), 3);
                RawSource source = new RawSource(second.uri())) {
            source.send(bytes(ASK + RESUME + part(zero(2) + page(3, 4)) + END)).endOfInput();
            assertThat(source.reply())
                    .startsWith(bytes(BITMAP_HEAD + "0300000000000000" + BITMAP_END + RESUME_ACK))
                    .endsWith(bytes(SHUT_COMPLETE));
            assertComplete(second);
            assertThat(Objects.requireNonNull(second.info().postcopy()).recoveryCount())
                    .isEqualTo(4);
        }
    }

    @Test
    void cancelIsTooLateWhenTheGuestRuns() throws Exception {
        try (IncomingMigration migration = listen();
                RawSource source = new RawSource(migration.uri())) {
            source.send(bytes(SWITCH));
            awaitStatus(migration, IncomingStatus.POSTCOPY_ACTIVE);
            assertThat(migration.cancel()).isFalse();
            assertThat(migration.status()).isEqualTo(IncomingStatus.POSTCOPY_ACTIVE);
        }
    }
}
