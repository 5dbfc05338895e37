package io.migrationd.it.bench;

import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * Daemon to daemon: a parked guest goes to and fro between two of them, one way per copy. What it leaves behind is
 * removed outside of the measured time.
 */
final class DaemonPair implements Contender {
    private final String guest;
    private final Path expected;
    private final Prepare prepare;
    private DaemonHost here;
    private DaemonHost there;

    /** What is done to the RAM file before each copy. */
    interface Prepare {
        /** Leaves it as it is. */
        Prepare NOTHING = ram -> {};

        void accept(Path ram) throws IOException;
    }

    /**
     * Parks a guest whose RAM is the content of the file {@code ram}.
     *
     * @param guest name of the guest and of the contender
     */
    DaemonPair(String guest, DaemonHost first, DaemonHost second, Path ram, Prepare prepare) throws Exception {
        this.guest = guest;
        this.expected = ram;
        this.prepare = prepare;
        this.here = first;
        this.there = second;
        try (QmpClient qmp = first.connect()) {
            String address = receive(qmp);
            GuestStream.send(ram, address);
            MigrationControl.of(qmp, guest).awaitStatus("completed", java.time.Duration.ofMinutes(5));
        }
    }

    @Override
    public String name() {
        return guest;
    }

    @Override
    public Sample run() throws Exception {
        prepare.accept(here.ram(guest));
        try (QmpClient sourceQmp = here.connect();
                QmpClient destinationQmp = there.connect()) {
            MigrationControl sending = MigrationControl.of(sourceQmp, guest);
            park(destinationQmp);
            MigrationControl receiving = MigrationControl.of(destinationQmp, guest);
            sending.enable("return-path");
            sending.set(Map.of("max-bandwidth", 0));
            Sample sample =
                    new Move(sending, sourceQmp, here.process(), receiving, destinationQmp, there.process()).measure();
            sourceQmp.execute("guest-remove", Map.of("guest", guest));
            DaemonHost left = here;
            here = there;
            there = left;
            return sample;
        }
    }

    /** Compares what has arrived with what was sent first. */
    void verify() throws IOException {
        long at = Files.mismatch(expected, here.ram(guest));
        if (at >= 0) {
            throw new IOException(
                    "the RAM of guest '%s' at %s differs from offset 0x%x on".formatted(guest, here.name(), at));
        }
    }

    private String receive(QmpClient qmp) throws Exception {
        park(qmp);
        return MigrationControl.of(qmp, guest).incoming("tcp:127.0.0.1:0");
    }

    private void park(QmpClient qmp) throws Exception {
        qmp.execute("guest-park", Map.of("guest", guest));
        MigrationControl.of(qmp, guest).enable("return-path");
    }

    @Override
    public void close() {
        // The daemons belong to the run.
    }
}
