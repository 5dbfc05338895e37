package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** QEMU guests and their problems in words. */
final class QemuText {
    private QemuText() {}

    /** A guest in some lines each, then the files that give none. */
    static List<String> definitions(JsonObject listing) {
        List<String> lines = new ArrayList<>();
        listing.objects("guests").forEach(guest -> lines.addAll(guest(guest)));
        listing.objects("problems").forEach(problem -> {
            lines.add(problem.text("file").orElse("") + " is no definition");
            lines.add(GuestText.fact("error", problem.text("text").orElse("")));
        });
        return lines.isEmpty() ? List.of("no QEMU guest is defined on this host") : lines;
    }

    /** The guest and a line per problem. */
    static List<String> check(JsonObject check) {
        List<String> lines = new ArrayList<>(guest(check.object("guest").orElse(JsonObject.EMPTY)));
        check.objects("problems")
                .forEach(problem -> lines.add(GuestText.fact(
                        problem.text("severity").orElse(""),
                        "%s: %s"
                                .formatted(
                                        problem.text("code").orElse(""),
                                        problem.text("text").orElse("")))));
        if (movable(check)) {
            lines.add(GuestText.fact("result", "nothing here stands in the way of a move"));
        }
        return lines;
    }

    /** Whether no problem is an error. */
    static boolean movable(JsonObject check) {
        return check.objects("problems").stream()
                .noneMatch(problem -> problem.text("severity").orElse("").equals("error"));
    }

    /**
     * Guests of definitions like guests of other kinds: the member {@code migration-status} is the phase of a move that
     * is under way, and a {@code run-state} that QEMU did not tell says so.
     */
    static List<JsonObject> withMoves(List<JsonObject> guests, List<JsonObject> moves) {
        Map<String, String> phases = new HashMap<>();
        for (JsonObject move : moves) {
            if (move.text("outcome").isEmpty()) {
                phases.put(move.text("guest").orElse(""), move.text("phase").orElse(""));
            }
        }
        return guests.stream()
                .map(guest -> {
                    Map<String, @Nullable Object> members = new LinkedHashMap<>(guest.members());
                    String phase = phases.get(guest.text("name").orElse(""));
                    if (phase != null) {
                        members.put("migration-status", phase);
                    }
                    members.putIfAbsent("run-state", phase == null ? "no answer" : "moving");
                    return new JsonObject(members);
                })
                .toList();
    }

    private static List<String> guest(JsonObject guest) {
        List<String> lines = new ArrayList<>();
        boolean reachable = Boolean.TRUE.equals(guest.members().get("reachable"));
        String state = reachable ? guest.text("run-state").orElse("") : "does not answer";
        lines.add("%s %s".formatted(guest.text("name").orElse(""), state));
        lines.add(GuestText.fact("uuid", guest.text("uuid").orElse("")));
        lines.add(GuestText.fact("qmp", guest.text("qmp").orElse("")));
        guest.text("machine-type").ifPresent(type -> lines.add(GuestText.fact("machine", type)));
        guest.number("ram-bytes").ifPresent(bytes -> lines.add(GuestText.fact("ram", Sizes.format(bytes))));
        return lines;
    }
}
