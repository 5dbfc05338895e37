package io.migrationd.migrationd.control;

import io.migrationd.migrationd.config.Accounts;
import io.migrationd.migrationd.config.ControlConfig;
import io.migrationd.migrationd.config.PathsConfig;
import io.migrationd.migrationd.metrics.Meters;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Map;
import java.util.Optional;
import java.util.function.Function;

/** A control server with two fake guests in a directory of its own. */
final class ControlFixture implements AutoCloseable {
    static final ControlConfig CONFIG =
            new ControlConfig(Accounts.NONE, Accounts.NONE, Accounts.NONE, 0660, 64, 1 << 20, 4 << 20);
    /** One second and 2.5 microseconds after the epoch. */
    static final Instant NOW = Instant.ofEpochSecond(1, 2500);

    final PathsConfig paths;
    final FakeGuests guests = new FakeGuests();
    final FakeGuests.FakeGuest web = guests.add("web01");
    final FakeGuests.FakeGuest database = guests.add("db01");
    final EventHub events = new EventHub(() -> NOW);
    final Meters meters = new Meters();
    final ControlServer server;

    ControlFixture(Path directory) throws IOException {
        this(directory, CONFIG, peer -> Optional.of(Role.ADMINISTER));
    }

    ControlFixture(Path directory, ControlConfig config, Function<Peer, Optional<Role>> access) throws IOException {
        paths = new PathsConfig(
                directory, directory.resolve("state"), directory.resolve("guest.sock"), directory.resolve("guests.d"));
        DaemonFacts facts = new DaemonFacts("0.1.0", 4711, Instant.now(), () -> Map.of("uffd-wp-async", true));
        server = new ControlServer(
                config, paths, guests, new FakeQemus(), new FakeMoves(), events, facts, meters, access);
        server.start();
    }

    QmpTestClient daemonClient() throws IOException {
        return QmpTestClient.negotiated(paths.controlSocket());
    }

    QmpTestClient guestClient(String guest) throws IOException {
        return QmpTestClient.negotiated(paths.guestControlSocket(guest));
    }

    @Override
    public void close() {
        server.close();
        meters.close();
    }
}
