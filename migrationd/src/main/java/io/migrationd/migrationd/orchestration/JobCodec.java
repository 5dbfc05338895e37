package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations.PostcopyUse;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.peer.MoveOrder;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;

/** Jobs as flat maps of texts, for the journal: {@link Properties} without their date. */
final class JobCodec {
    private static final String CAPABILITY = "capability.";
    private static final String PARAMETER = "parameter.";

    private JobCodec() {}

    static String text(Map<String, String> map) {
        StringBuilder text = new StringBuilder();
        new TreeMap<>(map)
                .forEach((key, value) -> text.append(escape(key))
                        .append('=')
                        .append(escape(value))
                        .append('\n'));
        return text.toString();
    }

    static Map<String, String> map(String text) throws IOException {
        Map<String, String> map = new TreeMap<>();
        for (String line : text.lines().toList()) {
            int cut = line.indexOf('=');
            if (cut < 0) {
                throw new IOException("a step of the journal is damaged: " + line);
            }
            map.put(unescape(line.substring(0, cut)), unescape(line.substring(cut + 1)));
        }
        return map;
    }

    private static String escape(String text) {
        return text.replace("%", "%25")
                .replace("\n", "%0A")
                .replace("\r", "%0D")
                .replace("=", "%3D");
    }

    private static String unescape(String text) {
        return text.replace("%3D", "=")
                .replace("%0D", "\r")
                .replace("%0A", "\n")
                .replace("%25", "%");
    }

    static Map<String, String> encode(SourceJob job) {
        Map<String, String> map = order(job.order());
        map.put("id", job.id().toString());
        map.put("qmp", job.qmp().toString());
        map.put("peer", job.peer());
        for (int i = 0; i < job.addresses().size(); i++) {
            map.put("address." + i, job.addresses().get(i).toString());
        }
        MoveSettings settings = job.settings();
        map.put("settings.postcopy", settings.postcopy().name());
        map.put("settings.preempt", String.valueOf(settings.preempt()));
        map.put("settings.multifd", String.valueOf(settings.multifdChannels()));
        map.put("settings.xbzrle", String.valueOf(settings.xbzrle()));
        map.put("settings.auto-converge", String.valueOf(settings.autoConverge()));
        map.put("settings.downtime", String.valueOf(settings.downtimeLimitMillis()));
        map.put("settings.most-downtime", String.valueOf(settings.maxDowntimeMillis()));
        map.put("settings.budget", String.valueOf(settings.timeBudgetMillis()));
        map.put("settings.bandwidth", String.valueOf(settings.maxBandwidth()));
        map.put("settings.postcopy-bandwidth", String.valueOf(settings.maxPostcopyBandwidth()));
        map.put("settings.keep", String.valueOf(settings.keepSource()));
        map.put("settings.retries", String.valueOf(settings.retries()));
        map.put("attempt", String.valueOf(job.attempt()));
        map.put("started", String.valueOf(job.startedAtMillis()));
        return map;
    }

    static SourceJob source(Map<String, String> map) throws IOException {
        try {
            List<MigrationUri> addresses = new ArrayList<>();
            for (int i = 0; map.containsKey("address." + i); i++) {
                addresses.add(MigrationUri.parse(get(map, "address." + i)));
            }
            return new SourceJob(
                    UUID.fromString(get(map, "id")),
                    Path.of(get(map, "qmp")),
                    get(map, "peer"),
                    addresses,
                    new MoveSettings(
                            PostcopyUse.valueOf(get(map, "settings.postcopy")),
                            flag(map, "settings.preempt"),
                            (int) number(map, "settings.multifd"),
                            flag(map, "settings.xbzrle"),
                            flag(map, "settings.auto-converge"),
                            number(map, "settings.downtime"),
                            number(map, "settings.most-downtime"),
                            number(map, "settings.budget"),
                            number(map, "settings.bandwidth"),
                            number(map, "settings.postcopy-bandwidth"),
                            flag(map, "settings.keep"),
                            (int) number(map, "settings.retries")),
                    order(map),
                    (int) number(map, "attempt"),
                    number(map, "started"));
        } catch (IllegalArgumentException e) {
            throw new IOException("a job of the journal is damaged", e);
        }
    }

    static Map<String, String> encode(TargetJob job) {
        Map<String, String> map = order(job.order());
        map.put("id", job.id().toString());
        map.put("name", job.guest());
        map.put("started", String.valueOf(job.startedAtMillis()));
        return map;
    }

    static TargetJob target(Map<String, String> map) throws IOException {
        try {
            return new TargetJob(UUID.fromString(get(map, "id")), get(map, "name"), order(map), number(map, "started"));
        } catch (IllegalArgumentException e) {
            throw new IOException("a job of the journal is damaged", e);
        }
    }

    private static Map<String, String> order(MoveOrder order) {
        Map<String, String> map = new TreeMap<>();
        map.put("guest", order.guest());
        map.put("uuid", order.uuid().toString());
        map.put("source-host", order.sourceHost());
        map.put("postcopy", String.valueOf(order.postcopy()));
        map.put("preempt", String.valueOf(order.preempt()));
        map.put("multifd", String.valueOf(order.multifdChannels()));
        order.capabilities().forEach((name, on) -> map.put(CAPABILITY + name, String.valueOf(on)));
        order.parameters().forEach((name, value) -> map.put(PARAMETER + name, String.valueOf(value)));
        return map;
    }

    private static MoveOrder order(Map<String, String> map) throws IOException {
        SortedMap<String, Boolean> capabilities = new TreeMap<>();
        SortedMap<String, Long> parameters = new TreeMap<>();
        for (String key : map.keySet()) {
            if (key.startsWith(CAPABILITY)) {
                capabilities.put(key.substring(CAPABILITY.length()), flag(map, key));
            } else if (key.startsWith(PARAMETER)) {
                parameters.put(key.substring(PARAMETER.length()), number(map, key));
            }
        }
        return new MoveOrder(
                get(map, "guest"),
                UUID.fromString(get(map, "uuid")),
                get(map, "source-host"),
                flag(map, "postcopy"),
                flag(map, "preempt"),
                (int) number(map, "multifd"),
                capabilities,
                parameters);
    }

    private static String get(Map<String, String> map, String key) throws IOException {
        String value = map.get(key);
        if (value == null) {
            throw new IOException("a job of the journal lacks " + key);
        }
        return value;
    }

    private static boolean flag(Map<String, String> map, String key) throws IOException {
        return Boolean.parseBoolean(get(map, key));
    }

    private static long number(Map<String, String> map, String key) throws IOException {
        return Long.parseLong(get(map, key));
    }
}
