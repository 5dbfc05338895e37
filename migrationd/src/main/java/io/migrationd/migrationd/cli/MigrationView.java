package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/**
 * What {@code query-migrate} returned. Wire source: QEMU 10.0 qapi/migration.json, MigrationInfo, and our own
 * {@code x-downtime-split} and {@code postcopy}.
 */
record MigrationView(JsonObject json) {
    private static final Set<String> ENDS = Set.of("completed", "failed", "cancelled");

    /** QEMU's status name; {@code none} when nothing ever happened. */
    String status() {
        return json.text("status").orElse("none");
    }

    /** Whether the status is one that nothing follows. */
    boolean ended() {
        return ENDS.contains(status());
    }

    /** Whether postcopy lost its connection: the guest waits, and the daemons reconnect by themselves. */
    boolean paused() {
        return status().equals("postcopy-paused") || status().startsWith("postcopy-recover");
    }

    /** Whether bytes move or are about to. */
    boolean underWay() {
        return !ended() && !status().equals("none");
    }

    /** Our own object of what postcopy did; without members before there was any. */
    JsonObject postcopy() {
        return json.object("postcopy").orElse(JsonObject.EMPTY);
    }

    /** The pauses that the daemon remembers, oldest first. */
    List<JsonObject> recoveries() {
        return postcopy().objects("recoveries");
    }

    /** Why the connection is gone and how often it was tried to get it back; empty if that is not known. */
    Optional<String> pauseReason() {
        List<JsonObject> recoveries = recoveries();
        if (!paused() || recoveries.isEmpty()) {
            return Optional.empty();
        }
        JsonObject last = recoveries.getLast();
        return last.text("cause")
                .map(cause -> "%s; attempts to reconnect: %d"
                        .formatted(cause, last.number("attempts").orElse(0)));
    }

    JsonObject ram() {
        return json.object("ram").orElse(JsonObject.EMPTY);
    }

    Optional<String> error() {
        return json.text("error-desc");
    }

    /** Where an incoming migration listens, with the port that the kernel chose. */
    List<String> listeningUris() {
        return json.list("socket-address").stream()
                .map(MigrationView::uri)
                .flatMap(Optional::stream)
                .toList();
    }

    /** Wire source: QEMU 10.0 qapi/sockets.json, SocketAddress. */
    private static Optional<String> uri(Object address) {
        if (!(address instanceof Map<?, ?> members)) {
            return address instanceof String uri ? Optional.of(uri) : Optional.empty();
        }
        JsonObject socket = JsonObject.of(members);
        return switch (socket.text("type").orElse("")) {
            case "inet" -> Optional.of("tcp:%s:%s".formatted(host(socket), port(socket)));
            case "unix" -> socket.text("path").map(path -> "unix:" + path);
            default -> Optional.empty();
        };
    }

    private static String host(JsonObject socket) {
        String host = socket.text("host").orElse("");
        return host.contains(":") ? "[" + host + "]" : host;
    }

    /** QEMU writes a port as text. */
    private static String port(JsonObject socket) {
        return socket.text("port")
                .orElseGet(() -> String.valueOf(socket.number("port").orElse(0)));
    }
}
