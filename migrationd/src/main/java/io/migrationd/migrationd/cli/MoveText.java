package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.StringJoiner;

/** A move of a QEMU guest in words. */
final class MoveText {
    private static final double BYTES_PER_MEGABIT = 1e6 / 8;
    private static final String ROW = "%-16s %-12s %-12s %-18s %s";

    private MoveText() {}

    /** For example {@code web01 moving: pass 3, 20.0 MiB of 1.0 GiB left, sending 110.0 MiB/s}. */
    static String progress(MoveView move) {
        if (move.isTriedAgain()) {
            return String.format(
                    Locale.ROOT,
                    "%s waits: attempt %d has failed, the next one begins in %.0f s",
                    move.guest(),
                    move.attempt(),
                    Math.ceil(move.nextAttemptMillis().orElse(0) / 1000.0));
        }
        JsonObject progress = move.progress();
        StringJoiner line = new StringJoiner(", ", "%s %s: ".formatted(move.guest(), move.phase()), "");
        line.setEmptyValue("%s %s".formatted(move.guest(), move.phase()));
        move.json()
                .number("link-down-millis")
                .ifPresent(down -> line.add(
                        String.format(Locale.ROOT, "the link is down for %.1f s, reconnecting", down / 1000.0)));
        long passes = progress.number("passes").orElse(0);
        if (passes > 0) {
            line.add("pass " + passes);
        }
        if (progress.number("total").orElse(0) > 0) {
            line.add("%s of %s left"
                    .formatted(
                            Sizes.format(progress.number("remaining").orElse(0)),
                            Sizes.format(progress.number("total").orElse(0))));
        }
        if (progress.decimal("mbps").orElse(0) > 0) {
            line.add("sending " + Sizes.format(progress.decimal("mbps").getAsDouble() * BYTES_PER_MEGABIT) + "/s");
        }
        if (progress.number("page-requests").orElse(0) > 0) {
            line.add(progress.number("page-requests").getAsLong() + " page requests");
        }
        move.json().text("last-decision").ifPresent(line::add);
        return line.toString();
    }

    /** What is left to say at the end. */
    static List<String> summary(MoveView move) {
        JsonObject progress = move.progress();
        List<String> lines = new ArrayList<>();
        lines.add(move.message());
        lines.add(fact(
                "total time",
                String.format(
                        Locale.ROOT,
                        "%.2f s",
                        move.json().number("elapsed-millis").orElse(0) / 1000.0)));
        if (progress.number("downtime-millis").orElse(0) > 0) {
            lines.add(fact("downtime", progress.number("downtime-millis").getAsLong() + " ms"));
        }
        if (progress.number("transferred").orElse(0) > 0) {
            lines.add(fact(
                    "transferred", Sizes.format(progress.number("transferred").getAsLong())));
        }
        if (progress.number("passes").orElse(0) > 0) {
            lines.add(fact("passes", String.valueOf(progress.number("passes").getAsLong())));
        }
        long outages = move.json().number("link-outages").orElse(0);
        long recoveries = move.json().number("recoveries").orElse(0);
        if (outages + recoveries > 0) {
            lines.add(fact("link", "%d cuts survived, %d recoveries of QEMU".formatted(outages, recoveries)));
        }
        move.json().text("id").ifPresent(id -> lines.add(fact("report", "migrationctl report " + id)));
        return lines;
    }

    static List<String> table(List<JsonObject> moves) {
        List<String> lines = new ArrayList<>();
        lines.add(String.format(Locale.ROOT, ROW, "GUEST", "ROLE", "PEER", "PHASE", "RESULT"));
        moves.stream()
                .map(MoveView::new)
                .forEach(move -> lines.add(String.format(
                        Locale.ROOT,
                        ROW,
                        move.guest(),
                        move.json().text("role").orElse(""),
                        move.json().text("peer").orElse(""),
                        move.phase(),
                        move.isTriedAgain()
                                ? "to be tried again"
                                : move.outcome().orElse("under way"))));
        return lines;
    }

    /** Problems of a check, a line each. */
    static List<String> problems(List<JsonObject> problems) {
        return problems.stream()
                .map(problem -> "  %-8s %-24s %s"
                        .formatted(
                                problem.text("severity").orElse(""),
                                problem.text("code").orElse(""),
                                problem.text("text").orElse("")))
                .toList();
    }

    private static String fact(String name, String value) {
        return String.format(Locale.ROOT, "  %-12s %s", name, value);
    }
}
