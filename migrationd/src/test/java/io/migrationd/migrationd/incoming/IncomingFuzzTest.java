package io.migrationd.migrationd.incoming;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.parked.ParkedGuest;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.protocol.Fixtures;
import io.migrationd.protocol.fuzz.StreamMutator;
import io.migrationd.protocol.inspect.InspectInput;
import io.migrationd.protocol.inspect.InspectOptions;
import io.migrationd.protocol.inspect.StreamInspector;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Damaged captures into a parked guest by way of a real socket: a guest that is whole or nothing, in bounded time. Runs
 * {@code -Dmigrationd.fuzz.seconds} (5); {@code -Dmigrationd.fuzz.seed} repeats a run.
 */
@DisplayName("An incoming migration of damaged captures")
class IncomingFuzzTest {
    private static final long BUDGET = 64L << 20;
    private static final Duration MAX_DURATION = Duration.ofSeconds(20);

    @TempDir
    private Path directory;

    private record Capture(String name, byte[] bytes, long[] places) {}

    @Test
    void isWholeOrNothing() throws IOException, InterruptedException {
        long seconds = Long.getLong("migrationd.fuzz.seconds", 5);
        long seed = Long.getLong("migrationd.fuzz.seed", System.nanoTime());
        System.out.printf("IncomingFuzzTest: migrationd.fuzz.seed=%d%n", seed);
        List<Capture> captures = captures();
        StreamMutator mutator = new StreamMutator(seed);
        long deadline = System.nanoTime() + Duration.ofSeconds(seconds).toNanos();
        int failed = 0;
        int round = 0;
        try (Links links = new Links(5_000, 5_000)) {
            for (; System.nanoTime() < deadline; round++) {
                Capture capture = captures.get(round % captures.size());
                Capture donor = captures.get((round * 7 + 3) % captures.size());
                byte[] damaged = mutator.mutate(capture.bytes(), capture.places(), donor.bytes());
                String what = "seed %d, round %d, %s: %s".formatted(seed, round, capture.name(), mutator.changes());
                failed += load(links, directory.resolve("g" + round), damaged, what);
            }
        }
        System.out.printf("IncomingFuzzTest: %d streams, %d refused%n", round, failed);
        assertThat(failed).as("damage that was noticed").isPositive();
    }

    /** 1 if the stream was refused. */
    private static int load(Links links, Path home, byte[] damaged, String what)
            throws IOException, InterruptedException {
        RamBudget budget = new RamBudget(BUDGET);
        long start = System.nanoTime();
        try (ParkedGuest guest = ParkedGuest.create("g", home, budget);
                Destination destination =
                        new Destination(links, guest, home, Set.of(Capability.XBZRLE, Capability.RETURN_PATH));
                RawSource source = new RawSource(destination.uri())) {
            source.send(damaged).endOfInput().reply();
            destination.awaitEnd();

            assertThat(Duration.ofNanos(System.nanoTime() - start)).as(what).isLessThan(MAX_DURATION);
            if ("completed".equals(destination.status())) {
                assertThat(guest.runState()).as(what).isEqualTo(RunState.PAUSED);
                assertThat(guest.ram()).as(what).isNotEmpty();
                guest.delete();
                assertThat(budget.leftBytes()).as(what).isEqualTo(BUDGET);
                return 0;
            }
            assertThat(destination.status()).as(what).isEqualTo("failed");
            // A bug of ours has no place in the stream; what the peer did wrong has one, and so has a cut.
            assertThat(destination.error())
                    .as(what)
                    .matches("(?s).*( at offset |no more comes from the peer|EINVAL|ENAMETOOLONG|EEXIST).*");
            assertThat(guest.runState()).as(what).isEqualTo(RunState.INMIGRATE);
            assertThat(budget.leftBytes()).as(what).isEqualTo(BUDGET);
            assertThat(home.resolve("ram")).as(what).doesNotExist();
            guest.delete();
            return 1;
        }
    }

    /** Streams that load without damage, and a few that never do. */
    private static List<Capture> captures() throws IOException {
        List<Capture> captures = new ArrayList<>();
        for (String name : List.of(
                "precopy-10.0.bin.gz",
                "xbzrle-10.0.bin.gz",
                "devices-pc-10.0.bin.gz",
                "uuid-10.0.bin.gz",
                "precopy-7.2.bin.gz",
                "postcopy-10.0.main.fwd.gz",
                "switchover-ack-10.0.main.fwd.gz")) {
            byte[] bytes = Fixtures.read(name);
            List<Long> places = new ArrayList<>();
            StreamInspector.inspect(InspectInput.of(bytes), InspectOptions.DEFAULT, item -> places.add(item.offset()));
            captures.add(new Capture(
                    name, bytes, places.stream().mapToLong(Long::longValue).toArray()));
        }
        return captures;
    }
}
