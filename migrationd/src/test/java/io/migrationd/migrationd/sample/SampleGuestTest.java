package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.process.GuestListener;
import io.migrationd.migrationd.guest.process.OpenDescriptors;
import io.migrationd.migrationd.guest.process.ProcessGuest;
import io.migrationd.migrationd.guest.process.RecordingRegistry;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.HostFeature;
import io.migrationd.postcopy.memory.HostFeatures;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.protocol.wire.ProtocolException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A guest moves between two processes by hand: what must be clean is clean, what was spoiled on purpose is found. */
@Timeout(120)
class SampleGuestTest {
    private static final Duration SOON = Duration.ofSeconds(30);
    private static final String[] SHAPE = {"--ram", "8M", "--blocks", "2", "--threads", "2"};
    private static final int PAGE = PageImage.PAGE_BYTES;
    private static final long VICTIM = 7;

    private final Arena arena = Arena.ofShared();
    private final RecordingRegistry registry = new RecordingRegistry();
    private GuestListener listener;
    private Path socket;

    @BeforeEach
    void listen(@TempDir Path directory) throws Exception {
        List<String> missing = HostFeatures.probe().missing(Set.of(HostFeature.WP_ASYNC, HostFeature.PAGEMAP_SCAN));
        Assumptions.assumeTrue(missing.isEmpty(), () -> String.join(" ", missing));
        socket = directory.resolve("guests.sock");
        listener = GuestListener.open(socket, registry, GuestListener.Limits.DEFAULT);
    }

    @AfterEach
    void close() throws Exception {
        if (listener != null) {
            listener.close();
        }
        arena.close();
    }

    @Test
    void arrivesCleanWhenEveryWriteWasCopied() throws Exception {
        try (SampleProcess source = start("source");
                SampleProcess destination = startIncoming("destination")) {
            ProcessGuest from = attached("source");
            ProcessGuest to = attached("destination");
            awaitOperations(from, 5000);

            migrate(from, to, () -> {});

            Map<String, Object> check = verifiedReport(to);
            assertThat(check).containsEntry("violations", 0).containsEntry("mode", "running");
            assertThat((Integer) check.get("operations")).isGreaterThan(5000);
            assertThat(from.runState()).isEqualTo(RunState.POSTMIGRATE);
            assertThatThrownBy(from::continueRunning).hasMessageContaining("it has migrated away");
            assertThat(source.process().isAlive()).isTrue();
            assertThat(destination.process().isAlive()).isTrue();
        }
    }

    @Test
    void findsAStalePage() throws Exception {
        assertThat(violationsAfter((to, older) -> write(to.ram().getFirst(), VICTIM, older.page())))
                .anyMatch(v -> v.startsWith("page 7 is stale"));
    }

    @Test
    void findsATornPage() throws Exception {
        assertThat(violationsAfter((to, older) -> {
                    MemorySegment mixed = read(to.ram().getFirst(), VICTIM);
                    MemorySegment.copy(older.page(), 0, mixed, 0, PAGE / 2);
                    write(to.ram().getFirst(), VICTIM, mixed);
                }))
                .anyMatch(v -> v.startsWith("page 7 is torn"));
    }

    @Test
    void findsAWriteThatWasLostTogetherWithItsIndexEntry() throws Exception {
        assertThat(violationsAfter((to, older) -> {
                    write(to.ram().getFirst(), VICTIM, older.page());
                    MemorySegment index = read(to.ram().getLast(), 0);
                    index.set(ValueLayout.JAVA_LONG, VICTIM * Long.BYTES, older.sequence());
                    write(to.ram().getLast(), 0, index);
                }))
                .anyMatch(v -> v.startsWith("the index of pages 0 to 511 is not that of the last writes"));
    }

    @Test
    void findsAPageThatItCorruptedItself() throws Exception {
        try (SampleProcess _ = start("web01", "--corrupt-page", "3", "--pattern", "sequential")) {
            ProcessGuest guest = attached("web01");

            await().atMost(SOON).until(() -> violations(guest) > 0);
        }
    }

    @Test
    void dirtyLogSeesWritesOfTheProcess() throws Exception {
        try (SampleProcess _ = start("web01")) {
            ProcessGuest guest = attached("web01");
            RamBlock block = guest.ram().getFirst();
            PageBitmap dirty = new PageBitmap(block.lengthBytes() / PAGE);
            try (DirtyLog log = guest.openDirtyLog()) {
                assertThat(log.collect(block, dirty)).isEqualTo(dirty.pageCount());
                dirty.clear(0, dirty.pageCount());
                await().atMost(SOON).until(() -> log.collect(block, dirty) > 0);

                guest.pause();
                log.collect(block, dirty);
                dirty.clear(0, dirty.pageCount());
                assertThat(log.collect(block, dirty))
                        .as("writes of a stopped guest")
                        .isZero();

                guest.continueRunning();
                await().atMost(SOON).until(() -> log.collect(block, dirty) > 0);
            }
        }
    }

    @Test
    void anAbortedMigrationLeavesNothingAndMayBeTriedAgain() throws Exception {
        try (SampleProcess _ = start("source");
                SampleProcess _ = startIncoming("destination")) {
            ProcessGuest from = attached("source");
            ProcessGuest to = attached("destination");
            awaitOperations(from, 5000);
            IncomingGuest incoming = to.beginIncoming();
            copy(from, to);
            incoming.abort();

            for (RamBlock block : to.ram()) {
                assertThat(block.nextData(0))
                        .as("first data of %s", block.name())
                        .isEqualTo(block.lengthBytes());
            }
            assertThat(to.runState()).isEqualTo(RunState.INMIGRATE);
            migrate(from, to, () -> {});
            assertThat(verifiedReport(to)).containsEntry("violations", 0);
        }
    }

    @Test
    void refusesAStreamThatDoesNotFit() throws Exception {
        try (SampleProcess _ = startIncoming("destination")) {
            ProcessGuest to = attached("destination");
            IncomingGuest incoming = to.beginIncoming();

            assertThatThrownBy(() -> incoming.machineType("pc-q35-10.0", 13))
                    .isInstanceOf(ProtocolException.class)
                    .hasMessage("configuration.machine at offset 13: expected migrationd-sample-1, got pc-q35-10.0");
            assertThatThrownBy(() -> incoming.block("pc.ram", 4096, 0, 99))
                    .hasMessage("ram.block.name at offset 99: expected one of"
                            + " [sample.ram0, sample.ram1, sample.index], got pc.ram");
            assertThatThrownBy(() -> incoming.block("sample.ram0", 4096, 0, 99))
                    .hasMessage("ram.block.length at offset 99: expected 4194304 bytes in sample.ram0, got 4096");
            assertThatThrownBy(() -> incoming.commit(List.of(), state()))
                    .isInstanceOf(GuestException.class)
                    .hasMessageContaining("has RAM that the stream does not: [sample.ram0, sample.ram1, sample.index]");
            incoming.machineType("migrationd-sample", 13);
            for (RamBlock block : to.ram()) {
                incoming.block(block.name(), block.lengthBytes(), 0, 99);
            }
            assertThatThrownBy(() -> incoming.commit(List.of(), state()))
                    .hasMessageContaining("refused to load: no section of worker 0");
            incoming.abort();
            assertThat(to.runState()).isEqualTo(RunState.INMIGRATE);
        }
    }

    @Test
    void runsOnWithoutADaemonAndComesBack() throws Exception {
        try (SampleProcess _ = start("web01")) {
            awaitOperations(attached("web01"), 1);
            listener.close();

            listener = GuestListener.open(socket, registry, GuestListener.Limits.DEFAULT);

            ProcessGuest guest = attached("web01");
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
            int before = operations(guest);
            awaitOperations(guest, before + 1);
            assertThat(violations(guest)).isZero();
        }
    }

    @Test
    void aGuestThatDiesIsGoneAndLeavesNoDescriptors() throws Exception {
        Map<String, Integer> before = OpenDescriptors.count();
        try (SampleProcess process = start("web01")) {
            ProcessGuest guest = attached("web01");
            process.process().destroyForcibly();
            await().atMost(SOON).until(() -> guest.runState() == RunState.SHUTDOWN);
            listener.forget(guest);
        }
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void exitsWhenReleasedIfItWasToldTo() throws Exception {
        try (SampleProcess process = start("web01", "--exit-on-release")) {
            ProcessGuest guest = attached("web01");
            guest.stopForSwitchover();
            guest.releaseAfterMigration();

            assertThat(process.process().waitFor(30, TimeUnit.SECONDS)).isTrue();
            assertThat(process.process().exitValue()).isZero();
        }
    }

    /** A page as it once was. */
    private record Older(MemorySegment page, long sequence) {}

    private interface Spoiler {
        void spoil(ProcessGuest to, Older older) throws Exception;
    }

    private interface Step {
        void run() throws Exception;
    }

    /** Migrates a guest, and before its device state arrives does something to the copy of page 7. */
    private List<String> violationsAfter(Spoiler spoiler) throws Exception {
        try (SampleProcess _ = start("source", "--pattern", "sequential");
                SampleProcess _ = startIncoming("destination", "--pattern", "sequential", "--rate", "1")) {
            ProcessGuest from = attached("source");
            ProcessGuest to = attached("destination");
            awaitOperations(from, 5000);
            from.pause();
            MemorySegment page = read(from.ram().getFirst(), VICTIM);
            Older older = new Older(page, page.get(ValueLayout.JAVA_LONG, PageImage.SEQUENCE));
            from.continueRunning();
            await().atMost(SOON).until(() -> read(from.ram().getFirst(), VICTIM).mismatch(page) >= 0);

            migrate(from, to, () -> spoiler.spoil(to, older));

            await().atMost(SOON).until(() -> violations(to) > 0);
            return to.checkReport()
                    .map(report -> ((List<?>) report.getOrDefault("first-violations", List.of()))
                            .stream().map(String::valueOf).toList())
                    .orElseThrow();
        }
    }

    private void migrate(ProcessGuest from, ProcessGuest to, Step beforeDevices) throws Exception {
        IncomingGuest incoming = to.beginIncoming();
        incoming.machineType(from.machineType().orElseThrow(), 0);
        for (RamBlock block : from.ram()) {
            incoming.block(block.name(), block.lengthBytes(), block.pageSizeBytes(), 0);
        }
        try (DirtyLog log = from.openDirtyLog()) {
            copyDirty(log, from, to);
            copyDirty(log, from, to);
            from.stopForSwitchover();
            copyDirty(log, from, to);
        }
        List<DeviceSection> devices = from.saveDevices();
        assertThat(devices)
                .hasSize(2)
                .allSatisfy(d -> assertThat(d.description()).contains("chunk_digests"));
        beforeDevices.run();
        from.releaseAfterMigration();
        incoming.commit(devices, state());
        assertThat(to.runState()).isEqualTo(RunState.RUNNING);
    }

    private void copyDirty(DirtyLog log, ProcessGuest from, ProcessGuest to) throws Exception {
        MemorySegment buffer = arena.allocate(PAGE);
        for (int b = 0; b < from.ram().size(); b++) {
            RamBlock block = from.ram().get(b);
            PageBitmap dirty = new PageBitmap(block.lengthBytes() / PAGE);
            log.collect(block, dirty);
            for (long page = dirty.nextSet(0); page < dirty.pageCount(); page = dirty.nextSet(page + 1)) {
                block.readPages(page * PAGE, 1, PAGE, buffer, 0, PAGE);
                to.ram().get(b).writePages(page * PAGE, 1, PAGE, buffer, 0, PAGE);
            }
        }
    }

    private void copy(ProcessGuest from, ProcessGuest to) throws Exception {
        try (DirtyLog log = from.openDirtyLog()) {
            copyDirty(log, from, to);
        }
    }

    private MemorySegment read(RamBlock block, long page) throws Exception {
        MemorySegment buffer = arena.allocate(PAGE, Long.BYTES);
        block.readPages(page * PAGE, 1, PAGE, buffer, 0, PAGE);
        return buffer;
    }

    private void write(RamBlock block, long page, MemorySegment buffer) throws Exception {
        block.writePages(page * PAGE, 1, PAGE, buffer, 0, PAGE);
    }

    private static IncomingState state() {
        return new IncomingState("running", Optional.empty(), PAGE, "");
    }

    private SampleProcess start(String name, String... more) throws Exception {
        return new SampleProcess(
                socket,
                name,
                with(
                        SHAPE,
                        more.length > 0 && Arrays.asList(more).contains("--rate")
                                ? more
                                : with(more, new String[] {"--rate", "0"})));
    }

    private SampleProcess startIncoming(String name, String... more) throws Exception {
        return start(name, with(new String[] {"--incoming"}, more));
    }

    private static String[] with(String[] first, String[] more) {
        return Stream.concat(Arrays.stream(first), Arrays.stream(more)).toArray(String[]::new);
    }

    private ProcessGuest attached(String name) {
        return await().atMost(SOON)
                .until(
                        () -> listener.guests().stream()
                                .filter(guest -> guest.name().equals(name) && guest.isAttached())
                                .findFirst(),
                        Optional::isPresent)
                .orElseThrow();
    }

    private static void awaitOperations(ProcessGuest guest, int atLeast) {
        await().atMost(SOON).until(() -> operations(guest) >= atLeast);
    }

    private static int operations(ProcessGuest guest) {
        return guest.checkReport()
                .map(r -> ((Number) r.getOrDefault("operations", 0)).intValue())
                .orElse(0);
    }

    private static int violations(ProcessGuest guest) {
        return guest.checkReport()
                .map(r -> ((Number) r.getOrDefault("violations", 0)).intValue())
                .orElse(0);
    }

    /** The first report after every page was verified where the guest runs now. */
    private static Map<String, Object> verifiedReport(ProcessGuest guest) {
        return await().atMost(SOON)
                .until(
                        guest::checkReport,
                        report -> report.isPresent()
                                && Boolean.TRUE.equals(report.get().get("verified"))
                                && "running".equals(report.get().get("mode")))
                .orElseThrow();
    }
}
