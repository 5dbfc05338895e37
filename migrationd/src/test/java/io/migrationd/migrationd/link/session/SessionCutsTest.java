package io.migrationd.migrationd.link.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.CutProxy.Cut;
import io.netty.util.ResourceLeakDetector;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Real sockets, random cuts: every byte and every message comes once and in order. */
@DisplayName("Session over a link that breaks")
@Timeout(60)
class SessionCutsTest {
    private static final PeerSettings SETTINGS =
            new PeerSettings(20, 120, 2, 30, PeerSettings.FOR_EVER, PeerSettings.MIN_BUFFER_BYTES);
    private static final List<Cut> CUTS = List.of(Cut.values());
    private static final long WINDOW = 200_000;
    /**
     * The paranoid detector records a stack for each use of a buffer: what then gets through between two cuts is
     * little.
     */
    private static final boolean PARANOID = ResourceLeakDetector.getLevel() == ResourceLeakDetector.Level.PARANOID;

    private static final long TOTAL = PARANOID ? 600_000 : 6_000_000;
    private static final int MESSAGES = PARANOID ? 300 : 2000;

    @ParameterizedTest(name = "seed {0}")
    @ValueSource(longs = {2, 6, 1, 3, 4, 5})
    void everyByteComesOnceAndInOrder(long seed) throws Exception {
        SplittableRandom random = new SplittableRandom(seed);
        CompletableFuture<PeerSession> accepted = new CompletableFuture<>();
        try (PeerLinks b = new PeerLinks(new PeerIdentity("b", UUID.randomUUID()), SETTINGS, Optional.empty());
                PeerLinks a = new PeerLinks(new PeerIdentity("a", UUID.randomUUID()), SETTINGS, Optional.empty());
                PeerServer server = b.listen(MigrationUri.parse("tcp:127.0.0.1:0"), accepted::complete);
                CutProxy proxy = new CutProxy(new InetSocketAddress(
                        InetAddress.getLoopbackAddress(), ((MigrationUri.Tcp) server.uri()).port()))) {
            PeerSession ofA = a.dial("b", List.of(MigrationUri.parse(proxy.uri())));
            PeerSession ofB = accepted.get(10, TimeUnit.SECONDS);
            assertThat(ofA.awaitUp(Duration.ofSeconds(5))).isTrue();
            PeerChannels channelsA = PeerChannels.of(ofA);
            PeerChannels channelsB = PeerChannels.of(ofB);
            List<String> atA = new CopyOnWriteArrayList<>();
            List<String> atB = new CopyOnWriteArrayList<>();
            ofA.onMessage(message -> atA.add(new String(message, StandardCharsets.UTF_8)));
            ofB.onMessage(message -> atB.add(new String(message, StandardCharsets.UTF_8)));

            UUID move = UUID.randomUUID();
            List<PatternReader> readers = new CopyOnWriteArrayList<>();
            channelsB
                    .loop()
                    .submit(() -> channelsB.accept(move, 0, channel -> {
                        int index = channel.spec().index();
                        PatternReader reader =
                                new PatternReader(channelsB, seed + index, 100 + index, 200 + index, TOTAL, true);
                        readers.add(reader);
                        reader.channel(channel);
                        channelsB.loop().execute(() -> reader.start(channel, WINDOW));
                        return Optional.of(reader);
                    }))
                    .get();
            List<ChannelKind> kinds = List.of(ChannelKind.MAIN, ChannelKind.MULTIFD, ChannelKind.PREEMPT);
            channelsA
                    .loop()
                    .submit(() -> {
                        for (int i = 0; i < kinds.size(); i++) {
                            PatternReader reader =
                                    new PatternReader(channelsA, seed - i, 200 + i, 100 + i, TOTAL, i == 1);
                            readers.add(reader);
                            reader.start(channelsA.open(new ChannelSpec(kinds.get(i), move, 0, i), reader), WINDOW);
                        }
                        return true;
                    })
                    .get();
            AtomicBoolean done = new AtomicBoolean();
            List<String> sent = new ArrayList<>();
            Thread breaker = Thread.ofVirtual().start(() -> {
                while (!done.get()) {
                    Cut cut = CUTS.get(random.nextInt(CUTS.size()));
                    int before = proxy.cuts();
                    proxy.cutAfter(1 + random.nextLong(random.nextBoolean() ? 3_000_000 : 300), cut);
                    long until = System.nanoTime() + 200_000_000;
                    while (proxy.cuts() == before && System.nanoTime() < until && !Thread.interrupted()) {
                        LockSupport.parkNanos(1_000_000);
                    }
                }
            });
            for (int i = 0; i < MESSAGES; i++) {
                String text = "message " + i + " " + "x".repeat(random.nextInt(300));
                sent.add(text);
                ofA.send(text.getBytes(StandardCharsets.UTF_8));
                ofB.send(text.getBytes(StandardCharsets.UTF_8));
            }
            await().atMost(Duration.ofSeconds(20)).until(() -> readers.size() == 2 * kinds.size());
            for (PatternReader reader : readers) {
                assertThat(reader.ended.get(12, TimeUnit.SECONDS)).isEqualTo("whole");
                assertThat(reader.finished.get(12, TimeUnit.SECONDS)).isEqualTo("whole");
                assertThat(reader.mostInFlight).isLessThanOrEqualTo(WINDOW);
                assertThat(reader.mostBuffered).isLessThanOrEqualTo(WINDOW);
            }
            done.set(true);
            breaker.join();
            await().atMost(Duration.ofSeconds(10)).until(() -> atA.size() == MESSAGES && atB.size() == MESSAGES);
            assertThat(atA).isEqualTo(sent);
            assertThat(atB).isEqualTo(sent);
            assertThat(ofA.health().outageCount()).as("it broke").isPositive();
            System.out.printf(
                    "seed %d: %d cuts, %d outages, %.1f MB passed for %.1f MB%n",
                    seed, proxy.cuts(), ofA.health().outageCount(), proxy.passed() / 1e6, 6 * TOTAL / 1e6);
        }
    }
}
