package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.bench.TouringGuest.Touch;
import io.migrationd.it.bench.TouringGuest.Trip;
import java.util.Map;
import java.util.Optional;

/** Daemon to daemon by postcopy from the first moment on; a thread of the guest touches all pages in random order. */
final class DaemonFaults implements FaultContender {
    /** Enough for the head of the stream, and next to nothing of the RAM. */
    private static final long PRECOPY_BYTES_PER_SECOND = 1_000_000;

    /** A page a second of what nobody waits for. */
    private static final long IDLE_BYTES_PER_SECOND = 4096;

    private final TouringGuest guest;
    private final boolean preempt;
    private final boolean loaded;
    private final long waits;

    /**
     * One kind.
     *
     * @param loaded whether the rest of RAM comes as fast as it can at the same time
     * @param waits after how many faults an idle run is over
     */
    DaemonFaults(TouringGuest guest, boolean preempt, boolean loaded, long waits) {
        this.guest = guest;
        this.preempt = preempt;
        this.loaded = loaded;
        this.waits = waits;
    }

    static String name(boolean preempt, boolean loaded) {
        return (preempt ? "preempt" : "plain") + (loaded ? "-loaded" : "-idle");
    }

    @Override
    public String name() {
        return name(preempt, loaded);
    }

    @Override
    public FaultSample run() throws Exception {
        return guest.travel(Touch.RANDOM, this::move);
    }

    private FaultSample move(Trip trip) throws Exception {
        trip.set("return-path", true);
        trip.set("postcopy-ram", true);
        trip.set("postcopy-preempt", preempt);
        trip.sending()
                .set(Map.of(
                        "max-bandwidth",
                        PRECOPY_BYTES_PER_SECOND,
                        "max-postcopy-bandwidth",
                        loaded ? 0 : IDLE_BYTES_PER_SECOND,
                        "postcopy-policy",
                        "manual"));
        String address = trip.receiving().incoming("tcp:127.0.0.1:0");
        Map<String, Double> cpuBefore = trip.cpuSeconds();
        trip.sending().migrate(address);
        trip.sending().startPostcopy();
        trip.awaitSource("postcopy-active");
        Optional<FaultTimes> guestSide = Optional.empty();
        JsonNode serverSide = null;
        if (!loaded) {
            JsonNode check = trip.awaitCheck("enough faults", this::hasWaitedEnough);
            guestSide = Optional.of(firstTouch(check));
            serverSide = faults(trip);
            trip.sending().set(Map.of("max-postcopy-bandwidth", 0));
        }
        trip.awaitSource("completed");
        trip.awaitDestination("completed");
        Map<String, Double> cpu = trip.cpuSecondsSince(cpuBefore);
        if (serverSide == null) {
            serverSide = faults(trip);
        }
        JsonNode verified = trip.awaitCheck(
                "guest has looked at all pages", check -> check.path("verified").asBoolean());
        return new FaultSample(
                guestSide.orElseGet(() -> firstTouch(verified)),
                Optional.of(FaultTimes.of(serverSide, "count")),
                guest.ramBytes(),
                cpu);
    }

    /** Also over when the guest has seen all its pages. */
    private boolean hasWaitedEnough(JsonNode check) {
        return firstTouch(check).waits() >= waits || check.path("verified").asBoolean();
    }

    private static FaultTimes firstTouch(JsonNode check) {
        return FaultTimes.of(check.path("first-touch"), "waits");
    }

    private static JsonNode faults(Trip trip) throws Exception {
        return trip.receiving().info().path("postcopy").path("faults");
    }
}
