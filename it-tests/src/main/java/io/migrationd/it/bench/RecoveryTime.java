package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.bench.TouringGuest.Touch;
import io.migrationd.it.bench.TouringGuest.Trip;
import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.LinkProxy;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.time.Duration;
import java.util.Map;
import java.util.concurrent.locks.LockSupport;

/** The link breaks in the middle of a postcopy, nobody can connect for a while, and then it is there again. */
final class RecoveryTime {
    static final Duration OUTAGE = Duration.ofSeconds(3);

    /** The guest is not half there when the link breaks. */
    private static final long BYTES_PER_SECOND = 20 << 20;

    private final TouringGuest guest;

    RecoveryTime(TouringGuest guest) {
        this.guest = guest;
    }

    /**
     * One recovery, in seconds from the moment when the link was there again.
     *
     * @param active until the source said that it goes on
     * @param firstPage until the first page came behind that, by the destination
     */
    record Recovery(double active, double firstPage) {}

    /** Goes to the other daemon over a link that breaks once. */
    Recovery run() throws Exception {
        return guest.travel(Touch.RANDOM, this::move);
    }

    private Recovery move(Trip trip) throws Exception {
        trip.set("return-path", true);
        trip.set("postcopy-ram", true);
        trip.set("postcopy-preempt", true);
        trip.sending()
                .set(Map.of(
                        "max-bandwidth",
                        BYTES_PER_SECOND / 20,
                        "max-postcopy-bandwidth",
                        BYTES_PER_SECOND,
                        "postcopy-policy",
                        "manual"));
        String address = trip.receiving().incoming("tcp:127.0.0.1:0");
        try (LinkProxy link = linkTo(address)) {
            trip.sending().migrate("tcp:127.0.0.1:" + ((InetSocketAddress) link.address()).getPort());
            trip.sending().startPostcopy();
            trip.awaitSource("postcopy-active");
            // Cut off before that, the destination never runs it: the source takes it back, and nothing recovers.
            trip.receiving().awaitRunState("running", TouringGuest.DEADLINE);
            Recovery recovery = breakOnce(trip, link);
            trip.sending().set(Map.of("max-postcopy-bandwidth", 0));
            trip.awaitSource("completed");
            trip.awaitDestination("completed");
            return recovery;
        }
    }

    private static Recovery breakOnce(Trip trip, LinkProxy link) throws Exception {
        link.refuse();
        link.cut(Cut.RESET);
        trip.awaitSource("postcopy-paused");
        LockSupport.parkNanos(OUTAGE.toNanos());
        try (QmpClient fresh = trip.sourceHost().connect()) {
            long start = System.nanoTime();
            link.heal();
            fresh.awaitEvent(
                    "MIGRATION", data -> data.path("status").asText().equals("postcopy-active"), TouringGuest.DEADLINE);
            double active = (System.nanoTime() - start) / 1e9;
            JsonNode last = awaitFirstPage(trip);
            return new Recovery(active, active + last.path("first-page-micros").asLong() / 1e6);
        }
    }

    private static JsonNode awaitFirstPage(Trip trip) throws Exception {
        Await.until(
                "first page after the recovery",
                TouringGuest.DEADLINE,
                () -> lastRecovery(trip).has("first-page-micros"),
                () -> trip.receiving().info());
        return lastRecovery(trip);
    }

    private static JsonNode lastRecovery(Trip trip) throws Exception {
        JsonNode recoveries = trip.receiving().info().path("postcopy").path("recoveries");
        return recoveries.path(recoveries.size() - 1);
    }

    private static LinkProxy linkTo(String address) throws IOException {
        InetAddress loopback = InetAddress.getLoopbackAddress();
        int port = Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
        return LinkProxy.start("recovery", new InetSocketAddress(loopback, 0), new InetSocketAddress(loopback, port));
    }
}
