package io.migrationd.migrationd.control;

import io.migrationd.migrationd.guest.qemu.Problem;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/** One guest that runs, one that does not answer, one file that is wrong. */
final class FakeQemus implements QemuGuestViews {
    private static final View RUNS = new View(
            "vm1", "u1", "/run/vm1", true, Optional.of("running"), Optional.of("pc-i440fx-7.2"), OptionalLong.of(64));
    private static final View SILENT =
            new View("vm2", "u2", "/run/vm2", false, Optional.empty(), Optional.empty(), OptionalLong.empty());

    @Override
    public Listing list() {
        return new Listing(List.of(RUNS, SILENT), List.of(new DefinitionProblem("/g/x.toml", "kind = 5")));
    }

    @Override
    public Optional<Check> check(String name) throws CommandException {
        return switch (name) {
            case "vm1" -> Optional.of(new Check(RUNS, List.of()));
            case "vm2", "web01" ->
                Optional.of(new Check(
                        SILENT, List.of(new Problem("unreachable", Problem.Severity.ERROR, "nobody listens"))));
            case "x" -> throw new CommandException("kind = 5: allowed: \"qemu\"");
            default -> Optional.empty();
        };
    }
}
