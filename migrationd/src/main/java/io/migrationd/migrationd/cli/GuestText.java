package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.Json;
import io.migrationd.migrationd.qmp.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** Guests in words. */
final class GuestText {
    private static final String NONE = "-";
    private static final List<String> HEADING = List.of("NAME", "KIND", "STATE", "RAM", "PID", "MIGRATION");

    private GuestText() {}

    /** A heading and a line per guest, in columns as wide as what stands in them. */
    static List<String> table(List<JsonObject> guests) {
        List<List<String>> rows = new ArrayList<>();
        rows.add(HEADING);
        guests.forEach(guest -> rows.add(row(guest)));
        int[] widths = new int[HEADING.size()];
        for (List<String> row : rows) {
            for (int column = 0; column < widths.length; column++) {
                widths[column] = Math.max(widths[column], row.get(column).length());
            }
        }
        return rows.stream().map(row -> padded(row, widths)).toList();
    }

    /** A line per fact. */
    static List<String> details(JsonObject guest) {
        List<String> lines = new ArrayList<>();
        lines.add(text(guest, "name"));
        lines.add(fact("kind", text(guest, "kind")));
        lines.add(fact("state", text(guest, "run-state")));
        lines.add(fact("uuid", text(guest, "uuid")));
        lines.add(fact("machine", text(guest, "machine-type")));
        lines.add(fact("ram", ram(guest)));
        lines.add(fact("pid", pid(guest)));
        lines.add(fact("migration", text(guest, "migration-status")));
        guest.objects("blocks").forEach(block -> lines.add(fact("block", block(block))));
        guest.objects("devices").forEach(device -> lines.add(fact("device", device(device))));
        guest.object("check").ifPresent(check -> lines.add(fact("check", pairs(check))));
        return lines;
    }

    /** An indented fact. */
    static String fact(String name, String value) {
        return String.format(Locale.ROOT, "  %-12s %s", name, value);
    }

    /** For example {@code violations=0 operations=1200}. */
    static String pairs(JsonObject object) {
        return object.members().entrySet().stream()
                .map(member -> member.getKey() + "=" + plain(member.getValue()))
                .collect(Collectors.joining(" "));
    }

    /** A string as it is, anything else as JSON. */
    static String plain(@Nullable Object value) {
        return value instanceof String text ? text : Json.write(value);
    }

    private static List<String> row(JsonObject guest) {
        return List.of(
                text(guest, "name"),
                text(guest, "kind"),
                text(guest, "run-state"),
                ram(guest),
                pid(guest),
                text(guest, "migration-status"));
    }

    private static String padded(List<String> row, int[] widths) {
        StringBuilder line = new StringBuilder();
        for (int column = 0; column < widths.length; column++) {
            line.append(row.get(column))
                    .repeat(' ', widths[column] - row.get(column).length() + 2);
        }
        return line.toString().stripTrailing();
    }

    private static String text(JsonObject guest, String member) {
        return guest.text(member).orElse(NONE);
    }

    private static String ram(JsonObject guest) {
        return guest.number("ram-bytes").isPresent()
                ? Sizes.format(guest.number("ram-bytes").getAsLong())
                : NONE;
    }

    private static String pid(JsonObject guest) {
        return guest.number("pid").isPresent()
                ? Long.toString(guest.number("pid").getAsLong())
                : NONE;
    }

    private static String block(JsonObject block) {
        return "%s, %s in pages of %s"
                .formatted(
                        text(block, "name"),
                        Sizes.format(block.number("length-bytes").orElse(0)),
                        Sizes.format(block.number("page-size-bytes").orElse(0)));
    }

    private static String device(JsonObject device) {
        long length = device.number("length-bytes").orElse(-1);
        return "%s %d, version %d%s"
                .formatted(
                        text(device, "name"),
                        device.number("instance-id").orElse(0),
                        device.number("version").orElse(0),
                        length < 0 ? "" : ", " + length + " bytes");
    }

    /** Members of an object as facts, for objects of which we need not know the members. */
    static List<String> facts(Map<String, ? extends @Nullable Object> members) {
        int width = members.keySet().stream().mapToInt(String::length).max().orElse(0);
        return members.entrySet().stream()
                .map(member -> "  " + member.getKey()
                        + " ".repeat(width - member.getKey().length() + 1) + plain(member.getValue()))
                .toList();
    }
}
