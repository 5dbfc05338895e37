package io.migrationd.migrationd.move;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The states of both machines as text for the journal: {@code key=value} pairs with a space between them, version
 * first. Names of constants are part of the format.
 */
public final class MoveCodec {
    private static final String VERSION = "1";

    private MoveCodec() {}

    /** As text. */
    public static String encode(SourceState state) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("v", VERSION);
        fields.put("phase", state.phase());
        put(fields, state.plan());
        fields.put("own-epoch", state.epoch());
        put(fields, state.fact());
        fields.put("gone", state.gone());
        fields.put("heard", state.heard());
        fields.put("target-paused", state.targetPaused());
        fields.put("path-broken", state.pathBroken());
        fields.put("complete", state.complete());
        fields.put("held", state.held());
        fields.put("recovery", state.recovery());
        put(fields, state.outcome());
        return text(fields);
    }

    /** As text. */
    public static String encode(TargetState state) {
        Map<String, Object> fields = new LinkedHashMap<>();
        fields.put("v", VERSION);
        fields.put("phase", state.phase());
        if (state.plan() != null) {
            put(fields, state.plan());
        }
        put(fields, state.fact());
        fields.put("source-lost", state.sourceLost());
        put(fields, state.outcome());
        return text(fields);
    }

    /**
     * The state of a source.
     *
     * @throws IllegalArgumentException if the text is not one
     */
    public static SourceState decodeSource(String text) {
        Map<String, String> fields = fields(text);
        return new SourceState(
                SourcePhase.valueOf(field(fields, "phase")),
                plan(fields),
                Long.parseLong(field(fields, "own-epoch")),
                fact(fields),
                flag(fields, "gone"),
                SourceState.Heard.valueOf(field(fields, "heard")),
                flag(fields, "target-paused"),
                flag(fields, "path-broken"),
                flag(fields, "complete"),
                flag(fields, "held"),
                SourceState.Recovery.valueOf(field(fields, "recovery")),
                outcome(fields));
    }

    /**
     * The state of a target.
     *
     * @throws IllegalArgumentException if the text is not one
     */
    public static TargetState decodeTarget(String text) {
        Map<String, String> fields = fields(text);
        return new TargetState(
                TargetPhase.valueOf(field(fields, "phase")),
                fields.containsKey("mode") ? plan(fields) : null,
                fact(fields),
                flag(fields, "source-lost"),
                outcome(fields));
    }

    private static void put(Map<String, Object> fields, MovePlan plan) {
        fields.put("mode", plan.mode());
        fields.put("guest-runs", plan.guestRuns());
        fields.put("epoch", plan.epoch());
    }

    private static void put(Map<String, Object> fields, QemuFact fact) {
        fields.put("qemu", fact.status());
        fields.put("vcpus", fact.vcpus());
    }

    private static void put(Map<String, Object> fields, @Nullable Outcome outcome) {
        if (outcome != null) {
            fields.put("outcome", outcome);
        }
    }

    private static String text(Map<String, Object> fields) {
        StringBuilder text = new StringBuilder();
        fields.forEach((key, value) ->
                text.append(text.isEmpty() ? "" : " ").append(key).append('=').append(value));
        return text.toString();
    }

    private static Map<String, String> fields(String text) {
        Map<String, String> fields = new LinkedHashMap<>();
        for (String pair : text.split(" ", -1)) {
            int sign = pair.indexOf('=');
            if (sign < 1 || fields.put(pair.substring(0, sign), pair.substring(sign + 1)) != null) {
                throw new IllegalArgumentException("not a state of a move: " + text);
            }
        }
        if (!VERSION.equals(fields.get("v"))) {
            throw new IllegalArgumentException("state of a move of an unknown version: " + text);
        }
        return fields;
    }

    private static String field(Map<String, String> fields, String key) {
        String value = fields.get(key);
        if (value == null) {
            throw new IllegalArgumentException("state of a move without " + key);
        }
        return Objects.requireNonNull(value);
    }

    private static boolean flag(Map<String, String> fields, String key) {
        return switch (field(fields, key)) {
            case "true" -> true;
            case "false" -> false;
            default ->
                throw new IllegalArgumentException("state of a move: %s is neither true nor false".formatted(key));
        };
    }

    private static MovePlan plan(Map<String, String> fields) {
        return new MovePlan(
                MovePlan.Mode.valueOf(field(fields, "mode")),
                flag(fields, "guest-runs"),
                Long.parseLong(field(fields, "epoch")));
    }

    private static QemuFact fact(Map<String, String> fields) {
        return new QemuFact(QemuStatus.valueOf(field(fields, "qemu")), Vcpus.valueOf(field(fields, "vcpus")));
    }

    private static @Nullable Outcome outcome(Map<String, String> fields) {
        String name = fields.get("outcome");
        return name == null ? null : Outcome.valueOf(name);
    }
}
