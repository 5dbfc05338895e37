package io.migrationd.it.matrix;

import io.migrationd.it.peer.Await;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/** Two hosts between which guests move, one round at a time, and the guests. */
final class Lab implements AutoCloseable {
    private static final Duration REMOVE_DEADLINE = Duration.ofSeconds(20);

    private final Host source;
    private final Host destination;
    private final GuestFarm farm;
    /** What scripts ask for and the link's thread must not wait for. */
    private final ExecutorService errands = Executors.newThreadPerTaskExecutor(
            Thread.ofPlatform().name("lab-errand").factory());

    private Lab(Host source, Host destination, GuestFarm farm) {
        this.source = source;
        this.destination = destination;
        this.farm = farm;
    }

    static Lab start(Path folder) throws Exception {
        List<AutoCloseable> started = new ArrayList<>();
        try {
            Host source = Host.start(folder.resolve("s"));
            started.add(source);
            Host destination = Host.start(folder.resolve("d"));
            started.add(destination);
            return new Lab(source, destination, GuestFarm.start(Files.createDirectories(folder)));
        } catch (Exception e) {
            for (AutoCloseable one : started) {
                one.close();
            }
            throw e;
        }
    }

    Host source() {
        return source;
    }

    Host destination() {
        return destination;
    }

    GuestFarm farm() {
        return farm;
    }

    ExecutorService errands() {
        return errands;
    }

    /** Ends both copies of a guest and makes both daemons forget it. */
    void remove(String guest) throws Exception {
        farm.endGuest("s:" + guest);
        farm.endGuest("d:" + guest);
        for (Host host : List.of(source, destination)) {
            Await.until(
                    "guest " + guest + " gone",
                    REMOVE_DEADLINE,
                    () -> !host.hasGuest(guest),
                    () -> host.guest(guest).info());
            host.guest(guest).execute("guest-remove", Map.of());
        }
    }

    /** What both daemons have said about a guest, for messages. */
    String log(String guest) throws IOException {
        return "log of the source:\n%s\nlog of the destination:\n%s"
                .formatted(source.log(guest), destination.log(guest));
    }

    @Override
    public void close() {
        errands.shutdownNow();
        try (source;
                destination) {
            farm.close();
        }
    }
}
