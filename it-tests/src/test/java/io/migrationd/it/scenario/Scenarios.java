package io.migrationd.it.scenario;

import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QemuMachine.Backend;
import io.migrationd.it.scenario.Scenario.Extra;
import io.migrationd.it.scenario.Scenario.Transport;
import java.util.Set;
import java.util.stream.Stream;

/** The scenarios. Any two settings of two different columns meet in at least one row. */
final class Scenarios {
    private static final Set<String> NONE = Set.of();
    private static final Set<String> RETURN_PATH = Set.of("return-path");
    private static final Set<String> XBZRLE = Set.of("xbzrle");
    private static final Set<String> BOTH = Set.of("return-path", "xbzrle");

    /** A machine type that both QEMUs know, in the version of the older one. */
    private static final String COMMON_MACHINE = "pc-i440fx-7.2";

    private Scenarios() {}

    static Stream<Scenario> all() {
        QemuBinary system = QemuBinary.system();
        QemuBinary newer = QemuBinary.newer();
        return Stream.concat(
                Stream.of(system, newer).flatMap(Scenarios::within),
                Stream.of(across(system, newer, Transport.TCP, BOTH), across(newer, system, Transport.UNIX, NONE)));
    }

    private static Stream<Scenario> within(QemuBinary qemu) {
        return Stream.of(
                row(qemu, "pc", Backend.PLAIN, 1, Transport.TCP, NONE),
                row(qemu, "pc", Backend.RAM, 1, Transport.UNIX, BOTH),
                row(qemu, "pc", Backend.MEMFD, 2, Transport.TCP, BOTH, Extra.VGA),
                row(qemu, "pc", Backend.MEMFD, 1, Transport.UNIX, NONE, Extra.VGA),
                row(qemu, "pc", Backend.PLAIN, 2, Transport.UNIX, RETURN_PATH, Extra.VGA, Extra.DIMM),
                row(qemu, "q35", Backend.PLAIN, 2, Transport.UNIX, XBZRLE),
                row(qemu, "q35", Backend.RAM, 1, Transport.TCP, XBZRLE),
                row(qemu, "q35", Backend.RAM, 2, Transport.UNIX, RETURN_PATH),
                row(qemu, "q35", Backend.MEMFD, 1, Transport.TCP, RETURN_PATH, Extra.VGA),
                row(qemu, "q35", Backend.PLAIN, 1, Transport.TCP, BOTH, Extra.DIMM));
    }

    private static Scenario row(
            QemuBinary qemu,
            String machine,
            Backend backend,
            int vcpus,
            Transport transport,
            Set<String> capabilities,
            Extra... extras) {
        return new Scenario(qemu, qemu, machine, backend, vcpus, transport, capabilities, Set.of(extras));
    }

    private static Scenario across(
            QemuBinary source, QemuBinary destination, Transport transport, Set<String> capabilities) {
        return new Scenario(
                source, destination, COMMON_MACHINE, Backend.PLAIN, 2, transport, capabilities, Set.of(Extra.VGA));
    }
}
