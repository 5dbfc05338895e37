package io.migrationd.migrationd.rescue;

import java.util.ArrayList;
import java.util.List;

/**
 * What was seen of a dead destination that says that it may have run the guest. Who ran it has changed its disks and
 * spoken to its network: the drained memory is then older than the world, and must not run again.
 *
 * @param devicesLoaded PONG 3 came: the device state was loaded, and RUN is the next thing in the package
 * @param packageLoaded PONG 42h came, which QEMU 10.2 and later ask for last before RUN
 * @param pagesRequested a page was asked for: a virtual CPU, or a device, has touched guest memory there
 * @param resumed its monitor announced RESUME, or showed it running
 * @param granted it was given the right to run, by {@code cont} or by a grant to its daemon
 */
public record Evidence(
        boolean devicesLoaded, boolean packageLoaded, boolean pagesRequested, boolean resumed, boolean granted) {
    /** Nothing was seen, by somebody who would have. */
    public static final Evidence NONE = new Evidence(false, false, false, false, false);

    /** Every fact that forbids to replace the destination; empty if there is none. */
    public List<String> reasons() {
        List<String> reasons = new ArrayList<>();
        if (devicesLoaded) {
            reasons.add("it had loaded the device state (PONG 3)");
        }
        if (packageLoaded) {
            reasons.add("it was about to run (PONG 42h)");
        }
        if (pagesRequested) {
            reasons.add("it had asked for pages");
        }
        if (resumed) {
            reasons.add("it was seen running");
        }
        if (granted) {
            reasons.add("it was given the right to run");
        }
        return List.copyOf(reasons);
    }
}
