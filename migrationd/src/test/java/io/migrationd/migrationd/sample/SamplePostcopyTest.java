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
import io.migrationd.migrationd.guest.process.ProcessGuest;
import io.migrationd.migrationd.guest.process.RecordingRegistry;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.memory.HostFeature;
import io.migrationd.postcopy.memory.HostFeatures;
import io.migrationd.postcopy.memory.RamBlock;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A guest runs in its second process before its memory is there, and finds every page as it was. */
@Timeout(120)
class SamplePostcopyTest {
    private static final Duration SOON = Duration.ofSeconds(30);
    private static final int PAGE = PageImage.PAGE_BYTES;

    private GuestListener source;
    private GuestListener destination;
    private Path sourceSocket;
    private Path destinationSocket;

    @BeforeEach
    void listen(@TempDir Path directory) throws Exception {
        List<String> missing = HostFeatures.probe()
                .missing(Set.of(HostFeature.WP_ASYNC, HostFeature.PAGEMAP_SCAN, HostFeature.MISSING_SHMEM));
        Assumptions.assumeTrue(missing.isEmpty(), () -> String.join(" ", missing));
        sourceSocket = directory.resolve("source.sock");
        destinationSocket = directory.resolve("destination.sock");
        source = open(sourceSocket);
        destination = open(destinationSocket);
    }

    private static GuestListener open(Path socket) throws Exception {
        return GuestListener.open(socket, new RecordingRegistry(), GuestListener.Limits.DEFAULT);
    }

    @AfterEach
    void close() throws Exception {
        if (source != null) {
            source.close();
            destination.close();
        }
    }

    private static SampleProcess start(Path socket, String... more) throws Exception {
        List<String> options =
                new ArrayList<>(List.of("--ram", "8M", "--blocks", "2", "--threads", "2", "--zero-share", "0.25"));
        options.addAll(List.of(more));
        return new SampleProcess(socket, "web01", options.toArray(String[]::new));
    }

    private static ProcessGuest attached(GuestListener listener) {
        return await().atMost(SOON)
                .until(
                        () -> listener.guests().stream()
                                .filter(ProcessGuest::isAttached)
                                .findFirst(),
                        Optional::isPresent)
                .orElseThrow();
    }

    /** The source's guest, filled and given away, and its devices. */
    private record Given(ProcessGuest guest, List<DeviceSection> devices) {}

    private Given giveAway() throws Exception {
        ProcessGuest from = attached(source);
        await().atMost(SOON).until(() -> number(from, "operations") > 5000);
        from.stopForSwitchover();
        List<DeviceSection> devices = from.saveDevices();
        from.releaseAfterMigration();
        return new Given(from, devices);
    }

    private IncomingMemory listening(IncomingGuest incoming, ProcessGuest to) throws Exception {
        incoming.advisePostcopy();
        List<IncomingBlock> blocks = new ArrayList<>();
        for (RamBlock block : to.ram()) {
            blocks.add(new IncomingBlock(incoming.block(block.name(), block.lengthBytes(), 0, 0), PAGE));
        }
        return incoming.listen("1", blocks);
    }

    private static void run(IncomingGuest incoming, List<DeviceSection> devices) throws Exception {
        incoming.run(devices, new IncomingState("running", Optional.empty(), PAGE, ""));
    }

    private static long number(ProcessGuest guest, String member) {
        return guest.checkReport()
                .map(report -> ((Number) report.getOrDefault(member, 0)).longValue())
                .orElse(0L);
    }

    private static long firstTouch(ProcessGuest guest, String member) {
        return guest.checkReport()
                .map(report -> (Map<?, ?>) report.getOrDefault("first-touch", Map.of()))
                .map(touches -> (Number) touches.get(member))
                .orElseThrow()
                .longValue();
    }

    /** Waits until every page was verified here, and all of them were right. */
    private static void awaitClean(ProcessGuest guest) {
        await().atMost(SOON)
                .until(() -> guest.checkReport()
                        .filter(report -> Boolean.TRUE.equals(report.get("verified")))
                        .filter(report -> "running".equals(report.get("mode")))
                        .isPresent());
        assertThat(guest.checkReport().orElseThrow()).containsEntry("violations", 0);
    }

    @Test
    void everyPageIsAskedForAndArrivesWhole() throws Exception {
        try (SampleProcess _ = start(sourceSocket, "--rate", "0");
                SampleProcess _ = start(destinationSocket, "--incoming")) {
            Given given = giveAway();
            ProcessGuest to = attached(destination);
            IncomingGuest incoming = to.beginIncoming();
            try (IncomingMemory memory = listening(incoming, to);
                    PageServer server = new PageServer(given.guest(), memory)) {
                server.start();
                memory.start(server::request);
                run(incoming, given.devices());

                awaitClean(to);
                server.placeRest();
                memory.finish();
                to.completeIncoming();
                assertThat(server.served()).isGreaterThanOrEqualTo(2048);
                assertThat(memory.report().threadBlocktimeMillis())
                        .as("each worker's")
                        .hasSize(2);
            }
            assertThat(firstTouch(to, "count")).isEqualTo(2048);
            assertThat(firstTouch(to, "waits")).isGreaterThan(1024);
            assertThat(firstTouch(to, "p50-micros")).isGreaterThanOrEqualTo(5);
            long then = number(to, "operations");
            await().atMost(SOON).until(() -> number(to, "operations") > then);
            to.pause();
            assertThat(to.runState()).isEqualTo(RunState.PAUSED);
        }
    }

    @Test
    void goesOnWithTheNextDaemon() throws Exception {
        try (SampleProcess _ = start(sourceSocket, "--rate", "0");
                SampleProcess _ = start(destinationSocket, "--incoming", "--touch", "random")) {
            Given given = giveAway();
            ProcessGuest first = attached(destination);
            IncomingGuest incoming = first.beginIncoming();
            try (IncomingMemory memory = listening(incoming, first);
                    PageServer server = new PageServer(given.guest(), memory)) {
                AtomicInteger asked = new AtomicInteger();
                server.start();
                memory.start((block, offset, lengthBytes) -> {
                    if (asked.getAndIncrement() < 700) {
                        server.request(block, offset, lengthBytes);
                    }
                });
                run(incoming, given.devices());
                await().atMost(SOON).until(() -> server.served() == 700);
            }
            destination.close();
            destination = open(destinationSocket);

            ProcessGuest second = attached(destination);
            assertThat(second).isNotSameAs(first);
            assertThat(second.runState()).isEqualTo(RunState.RUNNING);
            try (IncomingMemory memory = second.reopenIncoming("2");
                    PageServer server = new PageServer(given.guest(), memory)) {
                assertThat(memory.blocks().stream()
                                .mapToLong(block -> block.received().cardinality())
                                .sum())
                        .isEqualTo(700);
                server.start();
                memory.start(server::request);
                awaitClean(second);
                server.placeRest();
                memory.finish();
                second.completeIncoming();
            }
            awaitClean(second);
        }
    }

    @Test
    void aWorkerThatWaitsStopsNobodyElse() throws Exception {
        try (SampleProcess _ = start(sourceSocket, "--rate", "0");
                SampleProcess waiting = start(destinationSocket, "--incoming")) {
            Given given = giveAway();
            ProcessGuest to = attached(destination);
            IncomingGuest incoming = to.beginIncoming();
            try (IncomingMemory memory = listening(incoming, to);
                    PageServer server = new PageServer(given.guest(), memory)) {
                memory.start(server::request);
                run(incoming, given.devices());
                await("both workers wait").atMost(SOON).until(() -> server.waiting() == 2);

                collectGarbage(waiting.process());
                assertThatThrownBy(to::pause)
                        .isInstanceOf(GuestException.class)
                        .hasMessage("guest web01 refused to stop: a worker did not come to rest within 5000 ms:"
                                + " it waits for memory");
                assertThat(to.runState()).isEqualTo(RunState.RUNNING);

                server.start();
                awaitClean(to);
                server.placeRest();
                memory.finish();
            }
            to.pause();
            assertThat(to.runState()).isEqualTo(RunState.PAUSED);
        }
    }

    /** A collection needs every thread of the process at a safepoint, or in native code. */
    private static void collectGarbage(Process process) throws Exception {
        Path jcmd = Path.of(System.getProperty("java.home"), "bin", "jcmd");
        Process collection = new ProcessBuilder(jcmd.toString(), Long.toString(process.pid()), "GC.run")
                .redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
        assertThat(collection.waitFor(20, TimeUnit.SECONDS)).isTrue();
        assertThat(collection.exitValue()).isZero();
    }
}
