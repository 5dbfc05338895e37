package io.migrationd.it.bench;

import io.migrationd.it.bench.TouringGuest.Touch;
import io.migrationd.it.bench.TouringGuest.Trip;
import java.util.Map;

/**
 * All of the same guest's RAM from daemon to daemon while nobody waits for any of it: in precopy, or in postcopy from
 * the first moment on. Timed from one event of the source to the other.
 */
final class DaemonBackground implements Contender {
    static final String PRECOPY = "precopy";
    static final String POSTCOPY = "postcopy";

    private static final long NEXT_TO_NOTHING = 1_000_000;

    private final TouringGuest guest;
    private final boolean postcopy;

    DaemonBackground(TouringGuest guest, boolean postcopy) {
        this.guest = guest;
        this.postcopy = postcopy;
    }

    @Override
    public String name() {
        return postcopy ? POSTCOPY : PRECOPY;
    }

    @Override
    public Sample run() throws Exception {
        return guest.travel(Touch.NONE, this::move);
    }

    private Sample move(Trip trip) throws Exception {
        trip.set("return-path", true);
        if (!postcopy) {
            trip.set("postcopy-preempt", false);
        }
        trip.set("postcopy-ram", postcopy);
        trip.sending()
                .set(Map.of(
                        "max-bandwidth",
                        postcopy ? NEXT_TO_NOTHING : 0,
                        "max-postcopy-bandwidth",
                        0,
                        "postcopy-policy",
                        "manual"));
        String address = trip.receiving().incoming("tcp:127.0.0.1:0");
        Map<String, Double> cpuBefore = trip.cpuSeconds();
        trip.sending().migrate(address);
        if (postcopy) {
            trip.sending().startPostcopy();
        }
        double start = trip.awaitSource(postcopy ? "postcopy-active" : "active");
        double end = trip.awaitSource("completed");
        trip.awaitDestination("completed");
        return new Sample(end - start, trip.cpuSecondsSince(cpuBefore));
    }

    @Override
    public void close() {
        // The guest belongs to the run.
    }
}
