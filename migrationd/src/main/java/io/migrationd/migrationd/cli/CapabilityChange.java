package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** A switch to set before a migration. Which ones there are is for the daemon to say. */
record CapabilityChange(String name, boolean on) {
    /** Sets all or none; of two changes of one name the later counts. */
    static void apply(GuestClient client, List<CapabilityChange> changes)
            throws QmpException, DaemonUnreachableException {
        Map<String, Boolean> last = new LinkedHashMap<>();
        changes.forEach(change -> last.put(change.name, change.on));
        List<Map<String, Object>> list = last.entrySet().stream()
                .map(change -> ordered("capability", change.getKey(), "state", change.getValue()))
                .toList();
        client.command("migrate-set-capabilities", Map.of("capabilities", list));
    }

    private static Map<String, Object> ordered(String first, Object firstValue, String second, Object secondValue) {
        Map<String, Object> members = new LinkedHashMap<>();
        members.put(first, firstValue);
        members.put(second, secondValue);
        return members;
    }

    /** {@code NAME}, {@code NAME=on} or {@code NAME=off}. */
    static CapabilityChange parse(String text) {
        int equals = text.indexOf('=');
        return equals < 0
                ? new CapabilityChange(text, true)
                : new CapabilityChange(text.substring(0, equals), state(text.substring(equals + 1)));
    }

    private static boolean state(String text) {
        return switch (text) {
            case "on", "true" -> true;
            case "off", "false" -> false;
            default -> throw new TypeConversionException("expected on or off, not '%s'".formatted(text));
        };
    }

    static final class Converter implements ITypeConverter<CapabilityChange> {
        @Override
        public CapabilityChange convert(String text) {
            return parse(text);
        }
    }
}
