package io.migrationd.migrationd.cli;

import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Collectors;

/** What the demo shows. */
enum DemoScenario {
    /** A guest moves while it runs. */
    PRECOPY(5_000),
    /** A guest that writes faster than precopy may send goes over to postcopy. */
    POSTCOPY(25_000),
    /** The same; the link is cut and the destination's daemon killed in the middle. */
    RECOVERY(25_000),
    /** A QEMU moves from one daemon's host to the other's while its guest runs. */
    QEMU(0),
    /** The same by postcopy; the link is cut, and both daemons are killed, meanwhile. */
    QEMU_RECOVERY(0);

    private final long usualRate;

    DemoScenario(long usualRate) {
        this.usualRate = usualRate;
    }

    /** Writes per second of the guest, unless the command line says another number. */
    long usualRate() {
        return usualRate;
    }

    /** Whether the guest is a QEMU's. */
    boolean isQemu() {
        return this == QEMU || this == QEMU_RECOVERY;
    }

    String title() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    static Optional<DemoScenario> named(String title) {
        return Arrays.stream(values())
                .filter(scenario -> scenario.title().equals(title))
                .findFirst();
    }

    static String titles() {
        return Arrays.stream(values()).map(DemoScenario::title).collect(Collectors.joining(", "));
    }
}
