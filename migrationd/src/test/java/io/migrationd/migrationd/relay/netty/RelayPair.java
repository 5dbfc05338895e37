package io.migrationd.migrationd.relay.netty;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.CutProxy;
import io.migrationd.migrationd.link.session.PeerIdentity;
import io.migrationd.migrationd.link.session.PeerLinks;
import io.migrationd.migrationd.link.session.PeerServer;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.link.session.PeerSettings;
import io.migrationd.migrationd.relay.Relay;
import io.migrationd.migrationd.relay.RelayPlan;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.function.UnaryOperator;

/** Two daemons' links in one JVM, a path between them that can break, and a relay at each end. */
final class RelayPair implements AutoCloseable {
    static final PeerSettings FAST = new PeerSettings(25, 150, 2, 30, PeerSettings.FOR_EVER, 8 << 20);

    final CutProxy proxy;
    final PeerSession atSource;
    final PeerSession atTarget;
    final Path sourceSocket;
    final Path targetSocket;
    final FakeQemu destination;
    final RelayPlan plan;
    final Relay source;
    final Relay target;
    private final PeerLinks links;
    private final PeerLinks targetLinks;

    RelayPair(Path folder, boolean preempt, int multifd, UnaryOperator<RelayPlan> change) throws Exception {
        sourceSocket = folder.resolve("s");
        targetSocket = folder.resolve("t");
        CompletableFuture<PeerSession> accepted = new CompletableFuture<>();
        targetLinks = new PeerLinks(new PeerIdentity("b", UUID.randomUUID()), FAST, Optional.empty());
        PeerServer server = targetLinks.listen(MigrationUri.parse("tcp:127.0.0.1:0"), accepted::complete);
        proxy = new CutProxy(
                new InetSocketAddress(InetAddress.getLoopbackAddress(), ((MigrationUri.Tcp) server.uri()).port()));
        links = new PeerLinks(new PeerIdentity("a", UUID.randomUUID()), FAST, Optional.empty());
        atSource = links.dial("b", List.of(MigrationUri.parse(proxy.uri())));
        atTarget = accepted.get(10, TimeUnit.SECONDS);
        if (!atSource.awaitUp(Duration.ofSeconds(5))) {
            throw new AssertionError("no session");
        }
        destination = FakeQemu.listen(targetSocket);
        plan = change.apply(RelayPlan.of(UUID.randomUUID(), sourceSocket).withConnections(preempt, multifd));
        target = Relays.target(atTarget, plan.withAttempt(0, targetSocket));
        source = Relays.source(atSource, plan);
    }

    String facts() {
        return "source %s, target %s".formatted(source.status(), target.status());
    }

    @Override
    public void close() throws IOException {
        source.close();
        target.close();
        links.close();
        targetLinks.close();
        destination.close();
        proxy.close();
    }
}
