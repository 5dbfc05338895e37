package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.move.PeerMessage;
import io.migrationd.migrationd.peer.PeerWord;
import io.migrationd.migrationd.qmp.JsonObject;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.UUID;

/** What one end of a move saw, for its report: lines that outlive the daemon, and what was measured. Thread-safe. */
final class MoveRecorder {
    /** Lines of one move; what comes later is counted only. */
    private static final int MOST_LINES = 2_000;

    private final UUID move;
    private final MoveStore store;
    private final String host;
    // Guarded by this.
    private final List<MoveStore.Line> lines = new ArrayList<>();
    private final Set<String> said = new HashSet<>();
    private final List<MoveTraffic> traffic = new ArrayList<>();
    private Optional<JsonNode> peerTimeline = Optional.empty();
    private Optional<QemuMigration> lastCounters = Optional.empty();
    private String lastReason = "";
    private OptionalLong clockOffsetMillis = OptionalLong.empty();
    private Optional<PeerWord.Clock> clockPair = Optional.empty();
    private long clockAnsweredMillis;
    private long stoppedAtNanos;
    private boolean stopped;
    private OptionalLong downtimeNanos = OptionalLong.empty();
    private final Map<String, Long> phaseNanos = new LinkedHashMap<>();
    private final List<Decided> decisions = new ArrayList<>();
    private long dropped;

    /** A decision of the policy. */
    record Decided(long nanos, String decision, String cause) {}

    MoveRecorder(UUID move, MoveStore store, String host) {
        this.move = move;
        this.store = store;
        this.host = host;
        lines.addAll(store.notes(move));
    }

    private void line(String event, String detail) {
        MoveStore.Line line = new MoveStore.Line(System.currentTimeMillis(), event, detail);
        synchronized (this) {
            if (lines.size() >= MOST_LINES) {
                dropped++;
                return;
            }
            lines.add(line);
        }
        store.note(move, line.atMillis(), event, detail);
    }

    void phase(String phase) {
        synchronized (this) {
            phaseNanos.putIfAbsent(phase, System.nanoTime());
        }
        line("phase", phase);
    }

    void note(String text) {
        synchronized (this) {
            if (!text.startsWith("QEMU: ")) {
                lastReason = text;
            }
        }
        line("note", text);
    }

    void decision(String decision, String cause) {
        synchronized (this) {
            if (decisions.size() < MOST_LINES) {
                decisions.add(new Decided(System.nanoTime(), decision, cause));
            }
        }
        line("decision", decision + ": " + cause);
    }

    /** Said once, however often it is seen. */
    void once(String event, String detail) {
        synchronized (this) {
            if (!said.add(event + detail)) {
                return;
            }
        }
        line(event, detail);
    }

    /** An event of QEMU; the guest's stop begins its downtime. */
    void qemuEvent(String name, JsonObject data) {
        switch (name) {
            case "STOP" -> {
                synchronized (this) {
                    stoppedAtNanos = System.nanoTime();
                    stopped = true;
                }
                line("qemu", "STOP");
            }
            case "RESUME" -> {
                synchronized (this) {
                    stopped = false;
                }
                line("qemu", "RESUME");
            }
            case "MIGRATION" -> line("qemu", "MIGRATION " + data.text("status").orElse("?"));
            case "SHUTDOWN" -> line("qemu", "SHUTDOWN");
            default -> {
                // Not of a move.
            }
        }
    }

    /** A message of the target; its STARTED ends the downtime, but for the way that it took. */
    synchronized void heard(PeerMessage message, Optional<LinkHealth> link) {
        if (message instanceof PeerMessage.Started && stopped && downtimeNanos.isEmpty()) {
            long way = link.map(LinkHealth::minRttNanos).orElse(0L) / 2;
            downtimeNanos = OptionalLong.of(Math.max(0, System.nanoTime() - stoppedAtNanos - way));
        }
    }

    synchronized void counters(QemuMigration migration) {
        if (migration.ram().isPresent()) {
            lastCounters = Optional.of(migration);
        }
    }

    synchronized void relay(MoveRelay relay) {
        traffic.add(relay.traffic());
    }

    synchronized void peerTimeline(JsonNode timeline) {
        peerTimeline = Optional.of(timeline);
    }

    /** Half of the round trip lies between the peer's clock and ours. */
    synchronized void clock(PeerWord.Clock answer, long nowMillis) {
        long middle = (answer.sentAtMillis() + nowMillis) / 2;
        clockOffsetMillis = OptionalLong.of(answer.peerAtMillis() - middle);
        clockPair = Optional.of(answer);
        clockAnsweredMillis = nowMillis;
    }

    synchronized String lastReason() {
        return lastReason.isEmpty() ? "no reason known" : lastReason;
    }

    synchronized OptionalLong downtimeMillis() {
        return downtimeNanos.isEmpty()
                ? OptionalLong.empty()
                : OptionalLong.of((downtimeNanos.getAsLong() + 500_000) / 1_000_000);
    }

    synchronized Optional<QemuMigration> lastCounters() {
        return lastCounters;
    }

    synchronized List<MoveStore.Line> lines() {
        return List.copyOf(lines);
    }

    synchronized List<MoveTraffic> traffic() {
        return List.copyOf(traffic);
    }

    synchronized Optional<JsonNode> peerTimeline() {
        return peerTimeline;
    }

    synchronized Optional<PeerWord.Clock> clockPair() {
        return clockPair;
    }

    synchronized long clockAnsweredMillis() {
        return clockAnsweredMillis;
    }

    synchronized OptionalLong clockOffsetMillis() {
        return clockOffsetMillis;
    }

    /** When a phase was entered first, of the monotonic clock of this daemon. */
    synchronized OptionalLong phaseNanos(String phase) {
        Long at = phaseNanos.get(phase);
        return at == null ? OptionalLong.empty() : OptionalLong.of(at);
    }

    synchronized OptionalLong stoppedAtNanos() {
        return stoppedAtNanos == 0 ? OptionalLong.empty() : OptionalLong.of(stoppedAtNanos);
    }

    synchronized List<Decided> decisions() {
        return List.copyOf(decisions);
    }

    synchronized long dropped() {
        return dropped;
    }

    /** For the other host's report. */
    ObjectNode timelineJson() {
        ObjectNode json = JsonNodeFactory.instance.objectNode().put("host", host);
        ArrayNode list = json.putArray("lines");
        for (MoveStore.Line line : lines()) {
            list.addObject()
                    .put("at", line.atMillis())
                    .put("event", line.event())
                    .put("detail", line.detail());
        }
        return json;
    }
}
