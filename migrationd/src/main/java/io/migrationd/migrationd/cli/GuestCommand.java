package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import io.migrationd.migrationd.qmp.QmpException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import picocli.CommandLine.Command;
import picocli.CommandLine.Parameters;

/** The guests of this host. */
@Command(
        name = "guest",
        description = "Shows and changes the guests of this host.",
        synopsisSubcommandLabel = "COMMAND")
final class GuestCommand {
    private final MigrationctlMain main;

    GuestCommand(MigrationctlMain main) {
        this.main = main;
    }

    @Command(name = "list", description = "Lists the guests of every kind, a line each.")
    int list() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            List<JsonObject> guests = new ArrayList<>(daemon.queryList("guest-list", Map.of()));
            guests.addAll(QemuText.withMoves(
                    daemon.query("guest-definitions", Map.of()).objects("guests"),
                    daemon.queryList("move-list", Map.of())));
            main.print(guests, GuestText.table(guests));
            return ExitCode.DONE.code();
        }
    }

    @Command(
            name = "show",
            description = "Shows one guest: memory, devices, and what it last said of its consistency; of a QEMU guest"
                    + " what its QEMU says, and its move.")
    int show(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            Optional<JsonObject> qemu = daemon.query("guest-definitions", Map.of()).objects("guests").stream()
                    .filter(guest -> guest.text("name").equals(Optional.of(name)))
                    .findFirst();
            if (qemu.isPresent()) {
                JsonObject guest = QemuText.withMoves(List.of(qemu.get()), daemon.queryList("move-list", Map.of()))
                        .getFirst();
                main.print(guest, GuestText.details(guest));
            } else {
                JsonObject guest = new GuestClient(daemon, name).command("guest-show");
                main.print(guest, GuestText.details(guest));
            }
            return ExitCode.DONE.code();
        }
    }

    @Command(
            name = "definitions",
            description = "Lists the QEMU guests that this host has definitions of, and what is wrong in its files.")
    int definitions() throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject listing = daemon.query("guest-definitions", Map.of());
            main.print(listing, QemuText.definitions(listing));
            return ExitCode.DONE.code();
        }
    }

    @Command(
            name = "check",
            description =
                    "Looks for what stands in the way of a move of a QEMU guest, on this host. 3 if there is such.")
    int check(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject check = new GuestClient(daemon, name).command("guest-check");
            main.print(check, QemuText.check(check));
            return (QemuText.movable(check) ? ExitCode.DONE : ExitCode.REFUSED).code();
        }
    }

    @Command(name = "park", description = "Creates an empty parked guest that waits for an incoming migration.")
    int park(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        return change("guest-park", name, "parked");
    }

    @Command(
            name = "remove",
            description = "Forgets a parked guest and deletes its memory, or one whose process is gone.")
    int remove(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        return change("guest-remove", name, "removed");
    }

    @Command(name = "stop", description = "Stops a guest; cont lets it run again.")
    int stop(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        return change("stop", name, "stopped");
    }

    @Command(
            name = "reclaim",
            description = "Takes back a guest whose destination never got it. Be sure that no other copy runs.")
    int reclaim(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        return change("guest-reclaim", name, "taken back");
    }

    @Command(name = "cont", description = "Lets a stopped guest run, where it may run here.")
    int cont(@Parameters(paramLabel = "NAME") String name) throws QmpException, DaemonUnreachableException {
        return change("cont", name, "continued");
    }

    private int change(String command, String name, String done) throws QmpException, DaemonUnreachableException {
        try (QmpClient daemon = main.connect()) {
            JsonObject result = new GuestClient(daemon, name).command(command);
            main.print(result, List.of("%s %s".formatted(name, done)));
            return ExitCode.DONE.code();
        }
    }
}
