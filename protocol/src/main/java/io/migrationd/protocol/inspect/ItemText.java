package io.migrationd.protocol.inspect;

import io.migrationd.protocol.stream.Printable;
import java.util.Map;
import java.util.stream.Collectors;

/** Items as lines for people: offset, what it is, and its details as key=value. */
public final class ItemText {
    private ItemText() {}

    /** One line, without its end. Whatever the capture holds, it is printable. */
    public static String line(InspectItem item) {
        String name = "  ".repeat(item.depth()) + item.what();
        String details = item.details().entrySet().stream().map(ItemText::pair).collect(Collectors.joining(" "));
        return "%12d  %-14s %s".formatted(item.offset(), name, details).stripTrailing();
    }

    /** The totals in one line. */
    public static String totals(Map<String, Long> totals) {
        return totals.entrySet().stream()
                .map(entry -> entry.getKey() + "=" + entry.getValue())
                .collect(Collectors.joining(", "));
    }

    private static String pair(Map.Entry<String, Object> detail) {
        if (!(detail.getValue() instanceof String text)) {
            return detail.getKey() + "=" + detail.getValue();
        }
        return "text".equals(detail.getKey()) ? text : detail.getKey() + "=" + bare(text);
    }

    /** Quotes only where reading without them would be ambiguous. */
    private static String bare(String text) {
        boolean plain = !text.isEmpty() && text.chars().allMatch(c -> c > ' ' && c < 0x7f && c != '\'' && c != '\\');
        return plain ? text : Printable.quote(text);
    }
}
