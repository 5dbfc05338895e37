package io.migrationd.migrationd.control;

import io.migrationd.migrationd.guest.qemu.Problem;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** The QEMU guests that this host has definitions of, as the control socket shows them. Any thread may call. */
public interface QemuGuestViews {
    /** A host without definitions. */
    QemuGuestViews NONE = new QemuGuestViews() {
        @Override
        public Listing list() {
            return new Listing(List.of(), List.of());
        }

        @Override
        public Optional<Check> check(String name) {
            return Optional.empty();
        }
    };

    /**
     * One guest.
     *
     * @param reachable whether its QEMU answered; the rest is known only then
     */
    record View(
            String name,
            String uuid,
            String qmp,
            boolean reachable,
            Optional<String> runState,
            Optional<String> machineType,
            OptionalLong ramBytes) {}

    /** A file that gives no guest, and why. */
    record DefinitionProblem(String file, String text) {}

    /** All of them. */
    record Listing(List<View> guests, List<DefinitionProblem> problems) {}

    /** One guest, asked for everything that can stand in the way of a move on this host. */
    record Check(View guest, List<Problem> problems) {}

    /** Those that are defined, by name. Asks each QEMU that answers quickly. */
    Listing list();

    /** One of them, if it is defined. */
    Optional<Check> check(String name) throws CommandException;
}
