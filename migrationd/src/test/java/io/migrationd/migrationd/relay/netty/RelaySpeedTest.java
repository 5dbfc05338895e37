package io.migrationd.migrationd.relay.netty;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.PeerIdentity;
import io.migrationd.migrationd.link.session.PeerLinks;
import io.migrationd.migrationd.link.session.PeerServer;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.link.session.PeerSettings;
import io.migrationd.migrationd.relay.Relay;
import io.migrationd.migrationd.relay.RelayPlan;
import io.migrationd.migrationd.relay.netty.FakeQemu.Connection;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** Prints what two relays in one JVM carry and add. The bounds are far off: other work shares the machine. */
@DisplayName("Speed of relays")
@Timeout(60)
class RelaySpeedTest {
    private static final long WARM_BYTES = 1L << 30;
    private static final long BYTES = 4L << 30;
    private static final int TRIPS = 20_000;

    @TempDir
    private Path folder;

    @Test
    void carriesAndAnswers() throws Exception {
        CompletableFuture<PeerSession> accepted = new CompletableFuture<>();
        Path targetSocket = folder.resolve("t");
        try (PeerLinks b = links("b");
                PeerLinks a = links("a");
                PeerServer server = b.listen(MigrationUri.parse("tcp:127.0.0.1:0"), accepted::complete);
                FakeQemu qemu = FakeQemu.listen(targetSocket)) {
            PeerSession session = a.dial("b", List.of(server.uri()));
            RelayPlan plan = RelayPlan.of(UUID.randomUUID(), folder.resolve("s"));
            Relay target = Relays.target(accepted.get(5, TimeUnit.SECONDS), plan.withAttempt(0, targetSocket));
            Relay source = Relays.source(session, plan);
            try (Connection main = FakeQemu.connect(plan.socket())) {
                main.write(FakeQemu.MAIN);
                while (qemu.accepted.isEmpty()) {
                    Thread.onSpinWait();
                }
                Connection destination = qemu.accepted.getFirst();
                destination.read(8);
                bulk(main, destination, WARM_BYTES);
                long cpu = cpuNanos();
                long nanos = bulk(main, destination, BYTES);
                System.out.printf(
                        "relay to relay: %.2f GiB/s, %.2f CPUs of the JVM, both ends included; window %d%n",
                        BYTES / (double) (1 << 30) / (nanos / 1e9),
                        (cpuNanos() - cpu) / (double) nanos,
                        source.status().windowBytes());
                trips(main, destination);
                assertThat(BYTES / (nanos / 1e9)).isGreaterThan(50e6);
            }
            source.close();
            target.close();
        }
    }

    private static PeerLinks links(String host) {
        return new PeerLinks(new PeerIdentity(host, UUID.randomUUID()), PeerSettings.DEFAULT, Optional.empty());
    }

    private static long cpuNanos() {
        return ((com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean())
                .getProcessCpuTime();
    }

    private static long bulk(Connection from, Connection to, long total) throws IOException, InterruptedException {
        long begin = System.nanoTime();
        Thread writer = Thread.ofPlatform().daemon().start(() -> {
            try {
                ByteBuffer bytes = ByteBuffer.allocateDirect(256 * 1024);
                for (long left = total; left > 0; left -= bytes.capacity()) {
                    bytes.clear();
                    while (bytes.hasRemaining()) {
                        from.channel.write(bytes);
                    }
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        ByteBuffer bytes = ByteBuffer.allocateDirect(256 * 1024);
        for (long left = total; left > 0; ) {
            left -= to.channel.read(bytes.clear());
        }
        writer.join();
        return System.nanoTime() - begin;
    }

    /** A request of 16 bytes to the source and an answer of 16 bytes: two relays in each direction. */
    private static void trips(Connection main, Connection destination) throws IOException, InterruptedException {
        Thread answering = Thread.ofPlatform().daemon().start(() -> {
            try {
                for (int i = 0; i < TRIPS; i++) {
                    main.write(main.read(16));
                }
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        long[] nanos = new long[TRIPS];
        for (int i = 0; i < TRIPS; i++) {
            long begin = System.nanoTime();
            destination.write(new byte[16]);
            destination.read(16);
            nanos[i] = System.nanoTime() - begin;
        }
        answering.join();
        long[] last = Arrays.copyOfRange(nanos, TRIPS / 2, TRIPS);
        Arrays.sort(last);
        System.out.printf(
                "message through two relays and back: p50 %.1f us, p99 %.1f us, %.1f us per relay passed%n",
                last[last.length / 2] / 1e3, last[last.length * 99 / 100] / 1e3, last[last.length / 2] / 4e3);
    }
}
