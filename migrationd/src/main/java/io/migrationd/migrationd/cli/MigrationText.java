package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.StringJoiner;

/** A migration in words: one line while it runs, a few lines when it is over. */
final class MigrationText {
    private static final double BYTES_PER_MEGABIT = 1e6 / 8;

    private MigrationText() {}

    /** For example {@code web01 active: pass 2, 312.5 MiB of 1.0 GiB left, dirty 12.3 MiB/s, ...}. */
    static String progress(String guest, MigrationView migration) {
        JsonObject ram = migration.ram();
        StringJoiner line = new StringJoiner(", ", "%s %s: ".formatted(guest, migration.status()), "");
        line.setEmptyValue("%s %s".formatted(guest, migration.status()));
        if (migration.paused()) {
            migration.pauseReason().ifPresent(line::add);
            leftAtSource(ram).ifPresent(line::add);
            return line.toString();
        }
        if (migration.status().equals("postcopy-active")) {
            leftAtSource(ram).ifPresent(line::add);
            migration.postcopy().number("requests").ifPresent(requests -> line.add(requests + " requests"));
            migration.postcopy().number("pending-requests").ifPresent(pending -> line.add(pending + " pending"));
            sending(ram).ifPresent(line::add);
            return line.toString();
        }
        ram.number("dirty-sync-count").ifPresent(pass -> line.add("pass " + pass));
        left(ram).ifPresent(line::add);
        ram.number("dirty-pages-rate")
                .ifPresent(pages -> line.add(
                        "dirty " + rate((double) pages * ram.number("page-size").orElse(0))));
        sending(ram).ifPresent(line::add);
        migration.json().number("expected-downtime").ifPresent(millis -> line.add("downtime ~" + millis + " ms"));
        return line.toString();
    }

    private static Optional<String> left(JsonObject ram) {
        return ram.number("remaining").isEmpty()
                ? Optional.empty()
                : Optional.of("%s of %s left"
                        .formatted(
                                Sizes.format(ram.number("remaining").getAsLong()),
                                Sizes.format(ram.number("total").orElse(0))));
    }

    /** A destination does not know what is left, and says 0. */
    private static Optional<String> leftAtSource(JsonObject ram) {
        return ram.number("remaining").orElse(0) == 0 ? Optional.empty() : left(ram);
    }

    private static Optional<String> sending(JsonObject ram) {
        return ram.decimal("mbps").isEmpty()
                ? Optional.empty()
                : Optional.of("sending " + rate(ram.decimal("mbps").getAsDouble() * BYTES_PER_MEGABIT));
    }

    /** What it took, a line per fact that the daemon told. */
    static List<String> summary(MigrationView migration) {
        JsonObject json = migration.json();
        JsonObject ram = migration.ram();
        List<String> lines = new ArrayList<>();
        json.number("total-time").ifPresent(millis -> lines.add(fact("total time", seconds(millis))));
        json.number("downtime").ifPresent(millis -> lines.add(fact("downtime", millis + " ms" + split(json))));
        ram.number("dirty-sync-count").ifPresent(passes -> lines.add(fact("passes", String.valueOf(passes))));
        ram.number("transferred").ifPresent(bytes -> lines.add(fact("transferred", transferred(bytes, ram))));
        throughput(json, ram).ifPresent(bytes -> lines.add(fact("throughput", rate(bytes))));
        lines.addAll(postcopy(migration));
        return lines;
    }

    /** What postcopy did, at this side; nothing if there was none. */
    static List<String> postcopy(MigrationView migration) {
        JsonObject postcopy = migration.postcopy();
        List<String> lines = new ArrayList<>();
        if (postcopy.number("urgent-pages").isPresent()) {
            lines.add(fact(
                    "postcopy",
                    "%d requests; %d urgent, %d near and %d background pages"
                            .formatted(
                                    postcopy.number("requests").orElse(0),
                                    postcopy.number("urgent-pages").getAsLong(),
                                    postcopy.number("near-pages").orElse(0),
                                    postcopy.number("background-pages").orElse(0))));
        } else if (postcopy.number("requests").isPresent()) {
            lines.add(fact(
                    "postcopy",
                    "%d requests".formatted(postcopy.number("requests").getAsLong())));
        }
        postcopy.object("faults").ifPresent(faults -> lines.add(faultWait(faults)));
        postcopy.number("blocktime-millis")
                .ifPresent(millis -> lines.add(fact("blocktime", millis + " ms with every thread waiting")));
        migration.recoveries().forEach(recovery -> lines.add(fact("recovery", recovery(recovery))));
        return lines;
    }

    /** How long a guest's threads waited for pages. */
    static String faultWait(JsonObject faults) {
        return fact(
                "fault wait",
                "p50 %s ms, p99 %s ms, max %s ms of %d faults"
                        .formatted(
                                millis(faults, "p50-micros"),
                                millis(faults, "p99-micros"),
                                millis(faults, "max-micros"),
                                faults.number("count").orElse(0)));
    }

    private static String recovery(JsonObject recovery) {
        StringJoiner steps = new StringJoiner(", ", "", " (ms)");
        for (String step : List.of("detect", "reconnect", "resync", "first-page")) {
            boolean known = recovery.number(step + "-micros").isPresent();
            steps.add(step.replace('-', ' ') + " " + (known ? millis(recovery, step + "-micros") : "-"));
        }
        return "%s, %d attempts, after: %s"
                .formatted(
                        steps,
                        recovery.number("attempts").orElse(0),
                        recovery.text("cause").orElse("?"));
    }

    private static String fact(String name, String value) {
        return String.format(Locale.ROOT, "  %-12s %s", name, value);
    }

    private static String transferred(long bytes, JsonObject ram) {
        return "%s (%d normal and %d zero pages)"
                .formatted(
                        Sizes.format(bytes),
                        ram.number("normal").orElse(0),
                        ram.number("duplicate").orElse(0));
    }

    private static OptionalDouble throughput(JsonObject json, JsonObject ram) {
        long millis = json.number("total-time").orElse(0);
        return millis > 0 && ram.number("transferred").isPresent()
                ? OptionalDouble.of(1000.0 * ram.number("transferred").getAsLong() / millis)
                : OptionalDouble.empty();
    }

    private static String split(JsonObject json) {
        return json.object("x-downtime-split")
                .map(split -> String.format(
                        Locale.ROOT,
                        " (stop %s, gate %s, last pass %s, device state %s, acknowledge %s)",
                        millis(split, "stop-micros"),
                        millis(split, "switchover-gate-micros"),
                        millis(split, "last-pass-micros"),
                        millis(split, "device-state-micros"),
                        millis(split, "acknowledge-micros")))
                .orElse("");
    }

    private static String millis(JsonObject split, String name) {
        return String.format(Locale.ROOT, "%.1f", split.number(name).orElse(0) / 1000.0);
    }

    private static String seconds(long millis) {
        return String.format(Locale.ROOT, "%.2f s", millis / 1000.0);
    }

    private static String rate(double bytesPerSecond) {
        return Sizes.format(bytesPerSecond) + "/s";
    }
}
