package io.migrationd.migrationd.peer;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.move.MovePlan;
import io.migrationd.migrationd.move.PeerMessage;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.QemuStatus;
import io.migrationd.migrationd.move.SourcePhase;
import io.migrationd.migrationd.move.TargetPhase;
import io.migrationd.migrationd.move.Vcpus;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;

/**
 * JSON objects {@code {"version": 1, "type": ..., "move": UUID, ...}}, one per message. Our own format: docs/moves.md
 * §3. A member that is missing, has another type or is not known makes a {@link ProtocolException}.
 */
public final class PeerWordCodec {
    /** A message is bounded by the session as well. */
    public static final int MOST_BYTES = 256 << 10;

    private static final int VERSION = 1;
    private static final int MOST_TEXT = 4096;

    private static final ObjectMapper MAPPER = new ObjectMapper(JsonFactory.builder()
                    .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                    .streamReadConstraints(StreamReadConstraints.builder()
                            .maxNestingDepth(32)
                            .maxStringLength(MOST_BYTES)
                            .build())
                    .build())
            .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS);

    private PeerWordCodec() {}

    /** The bytes of a word. */
    public static byte[] encode(PeerWord word) {
        ObjectNode json = MAPPER.createObjectNode().put("version", VERSION);
        switch (word) {
            case PeerWord.OfMove ofMove -> {
                json.put("move", ofMove.move().toString()).put("attempt", ofMove.attempt());
                message(ofMove.message(), json);
                ofMove.order().ifPresent(order -> json.set("order", order(order)));
                ofMove.timeline().ifPresent(timeline -> json.set("timeline", timeline));
            }
            case PeerWord.Check check ->
                json.put("type", "CHECK")
                        .put("question", check.question().toString())
                        .set("order", order(check.order()));
            case PeerWord.Facts facts ->
                json.put("type", "FACTS")
                        .put("question", facts.question().toString())
                        .set("facts", facts.facts());
            case PeerWord.CheckFailed failed ->
                json.put("type", "CHECK-FAILED")
                        .put("question", failed.question().toString())
                        .put("why", cut(failed.why()));
            case PeerWord.Clock clock ->
                json.put("type", "CLOCK")
                        .put("answer", clock.answer())
                        .put("sent-at", clock.sentAtMillis())
                        .put("peer-at", clock.peerAtMillis());
        }
        try {
            return MAPPER.writeValueAsBytes(json);
        } catch (JsonProcessingException e) {
            throw new AssertionError("a tree cannot be written", e);
        }
    }

    private static void message(PeerMessage message, ObjectNode json) {
        switch (message) {
            case PeerMessage.Prepare(MovePlan plan) ->
                json.put("type", "PREPARE")
                        .put("mode", word(plan.mode()))
                        .put("guest-runs", plan.guestRuns())
                        .put("epoch", plan.epoch());
            case PeerMessage.Ready() -> json.put("type", "READY");
            case PeerMessage.Refused(String why) -> json.put("type", "REFUSED").put("why", cut(why));
            case PeerMessage.Abort(String why) -> json.put("type", "ABORT").put("why", cut(why));
            case PeerMessage.Aborted() -> json.put("type", "ABORTED");
            case PeerMessage.Declined(String why) ->
                json.put("type", "DECLINED").put("why", cut(why));
            case PeerMessage.Loaded(QemuStatus status) ->
                json.put("type", "LOADED").put("status", status.qmpName());
            case PeerMessage.Grant(long epoch) -> json.put("type", "GRANT").put("epoch", epoch);
            case PeerMessage.Started() -> json.put("type", "STARTED");
            case PeerMessage.Paused() -> json.put("type", "PAUSED");
            case PeerMessage.Recover() -> json.put("type", "RECOVER");
            case PeerMessage.RecoverReady() -> json.put("type", "RECOVER-READY");
            case PeerMessage.RecoverFailed(String why) ->
                json.put("type", "RECOVER-FAILED").put("why", cut(why));
            case PeerMessage.TargetLost() -> json.put("type", "TARGET-LOST");
            case PeerMessage.SourceLost() -> json.put("type", "SOURCE-LOST");
            case PeerMessage.Finish() -> json.put("type", "FINISH");
            case PeerMessage.Finished() -> json.put("type", "FINISHED");
            case PeerMessage.Sync(SourcePhase phase) -> json.put("type", "SYNC").put("phase", word(phase));
            case PeerMessage.State(TargetPhase phase, QemuFact fact) ->
                json.put("type", "STATE")
                        .put("phase", word(phase))
                        .put("status", fact.status().qmpName())
                        .put("vcpus", word(fact.vcpus()));
            case PeerMessage.Unknown() -> json.put("type", "UNKNOWN");
        }
    }

    /** The word in these bytes. */
    public static PeerWord decode(byte[] bytes) throws ProtocolException {
        if (bytes.length > MOST_BYTES) {
            throw new ProtocolException("peer message", 0, "at most " + MOST_BYTES + " bytes", bytes.length);
        }
        JsonNode tree;
        try {
            tree = MAPPER.readTree(bytes);
        } catch (IOException e) {
            throw bad("message", "JSON", e.getClass().getSimpleName());
        }
        if (!(tree instanceof ObjectNode object)) {
            throw bad("message", "an object", tree.getNodeType());
        }
        Members in = new Members(object);
        long version = in.number("version", 0, Integer.MAX_VALUE);
        if (version != VERSION) {
            throw bad("version", String.valueOf(VERSION), version);
        }
        String type = in.text("type");
        PeerWord word = switch (type) {
            case "CHECK" -> new PeerWord.Check(in.uuid("question"), order(in.object("order")));
            case "FACTS" -> new PeerWord.Facts(in.uuid("question"), in.any("facts"));
            case "CHECK-FAILED" -> new PeerWord.CheckFailed(in.uuid("question"), in.text("why"));
            case "CLOCK" ->
                new PeerWord.Clock(
                        in.flag("answer"),
                        in.number("sent-at", 0, Long.MAX_VALUE),
                        in.number("peer-at", 0, Long.MAX_VALUE));
            default -> ofMove(type, in);
        };
        in.end();
        return word;
    }

    private static PeerWord ofMove(String type, Members in) throws ProtocolException {
        UUID move = in.uuid("move");
        PeerMessage message = switch (type) {
            case "PREPARE" ->
                new PeerMessage.Prepare(new MovePlan(
                        in.word("mode", MovePlan.Mode.values()),
                        in.flag("guest-runs"),
                        in.number("epoch", 0, Long.MAX_VALUE - 2)));
            case "READY" -> new PeerMessage.Ready();
            case "REFUSED" -> new PeerMessage.Refused(in.text("why"));
            case "ABORT" -> new PeerMessage.Abort(in.text("why"));
            case "ABORTED" -> new PeerMessage.Aborted();
            case "DECLINED" -> new PeerMessage.Declined(in.text("why"));
            case "LOADED" -> new PeerMessage.Loaded(QemuStatus.parse(in.text("status")));
            case "GRANT" -> new PeerMessage.Grant(in.number("epoch", 1, Long.MAX_VALUE - 1));
            case "STARTED" -> new PeerMessage.Started();
            case "PAUSED" -> new PeerMessage.Paused();
            case "RECOVER" -> new PeerMessage.Recover();
            case "RECOVER-READY" -> new PeerMessage.RecoverReady();
            case "RECOVER-FAILED" -> new PeerMessage.RecoverFailed(in.text("why"));
            case "TARGET-LOST" -> new PeerMessage.TargetLost();
            case "SOURCE-LOST" -> new PeerMessage.SourceLost();
            case "FINISH" -> new PeerMessage.Finish();
            case "FINISHED" -> new PeerMessage.Finished();
            case "SYNC" -> new PeerMessage.Sync(in.word("phase", SourcePhase.values()));
            case "STATE" ->
                new PeerMessage.State(
                        in.word("phase", TargetPhase.values()),
                        new QemuFact(QemuStatus.parse(in.text("status")), in.word("vcpus", Vcpus.values())));
            case "UNKNOWN" -> new PeerMessage.Unknown();
            default -> throw bad("type", "a type of docs/moves.md", type);
        };
        boolean prepare = message instanceof PeerMessage.Prepare;
        Optional<MoveOrder> order = prepare ? Optional.of(order(in.object("order"))) : Optional.empty();
        Optional<JsonNode> timeline = message instanceof PeerMessage.Finished && in.has("timeline")
                ? Optional.of(in.any("timeline"))
                : Optional.empty();
        int attempt = (int) in.number("attempt", 0, Integer.MAX_VALUE);
        return new PeerWord.OfMove(move, message, attempt, order, timeline);
    }

    private static ObjectNode order(MoveOrder order) {
        ObjectNode json = MAPPER.createObjectNode()
                .put("guest", order.guest())
                .put("uuid", order.uuid().toString())
                .put("source-host", order.sourceHost())
                .put("postcopy", order.postcopy())
                .put("preempt", order.preempt())
                .put("multifd-channels", order.multifdChannels());
        ObjectNode capabilities = json.putObject("capabilities");
        order.capabilities().forEach(capabilities::put);
        ObjectNode parameters = json.putObject("parameters");
        order.parameters().forEach(parameters::put);
        return json;
    }

    private static MoveOrder order(Members in) throws ProtocolException {
        try {
            MoveOrder order = new MoveOrder(
                    in.text("guest"),
                    in.uuid("uuid"),
                    in.text("source-host"),
                    in.flag("postcopy"),
                    in.flag("preempt"),
                    (int) in.number("multifd-channels", 0, MoveOrder.MOST_CHANNELS),
                    flags(in.object("capabilities")),
                    numbers(in.object("parameters")));
            in.end();
            return order;
        } catch (IllegalArgumentException e) {
            throw bad("order", "an order within its bounds", String.valueOf(e.getMessage()));
        }
    }

    private static SortedMap<String, Boolean> flags(Members in) throws ProtocolException {
        SortedMap<String, Boolean> flags = new TreeMap<>();
        for (String name : in.names()) {
            flags.put(name, in.flag(name));
        }
        return flags;
    }

    private static SortedMap<String, Long> numbers(Members in) throws ProtocolException {
        SortedMap<String, Long> numbers = new TreeMap<>();
        for (String name : in.names()) {
            numbers.put(name, in.number(name, Long.MIN_VALUE, Long.MAX_VALUE));
        }
        return numbers;
    }

    private static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private static String cut(String text) {
        return text.length() <= MOST_TEXT ? text : text.substring(0, MOST_TEXT);
    }

    private static ProtocolException bad(String field, String expected, Object actual) {
        String shown = String.valueOf(actual);
        return new ProtocolException(
                "peer." + field, 0, expected, shown.length() <= 80 ? shown : shown.substring(0, 80) + "...");
    }

    /** The members of an object, each of which must be read once. */
    private static final class Members {
        private final Map<String, JsonNode> left = new TreeMap<>();

        Members(ObjectNode object) {
            object.properties().forEach(member -> left.put(member.getKey(), member.getValue()));
        }

        boolean has(String name) {
            return left.containsKey(name);
        }

        Iterable<String> names() {
            return List.copyOf(left.keySet());
        }

        JsonNode any(String name) throws ProtocolException {
            JsonNode value = left.remove(name);
            if (value == null) {
                throw bad(name, "a value", "nothing");
            }
            return value;
        }

        String text(String name) throws ProtocolException {
            JsonNode value = any(name);
            if (!value.isTextual() || value.textValue().length() > MOST_TEXT) {
                throw bad(name, "a string of at most %d characters".formatted(MOST_TEXT), value);
            }
            return value.textValue();
        }

        boolean flag(String name) throws ProtocolException {
            JsonNode value = any(name);
            if (!value.isBoolean()) {
                throw bad(name, "true or false", value);
            }
            return value.booleanValue();
        }

        long number(String name, long least, long most) throws ProtocolException {
            JsonNode value = any(name);
            if (!value.isIntegralNumber()
                    || !value.canConvertToLong()
                    || value.longValue() < least
                    || value.longValue() > most) {
                throw bad(name, "a number from %d to %d".formatted(least, most), value);
            }
            return value.longValue();
        }

        UUID uuid(String name) throws ProtocolException {
            String text = text(name);
            try {
                UUID uuid = UUID.fromString(text);
                if (uuid.toString().equals(text)) {
                    return uuid;
                }
            } catch (IllegalArgumentException _) {
                // Reported below, as what is almost a uuid.
            }
            throw bad(name, "a uuid", text);
        }

        Members object(String name) throws ProtocolException {
            if (any(name) instanceof ObjectNode object) {
                return new Members(object);
            }
            throw bad(name, "an object", "something else");
        }

        <E extends Enum<E>> E word(String name, E[] values) throws ProtocolException {
            String text = text(name);
            for (E value : values) {
                if (PeerWordCodec.word(value).equals(text)) {
                    return value;
                }
            }
            throw bad(name, "a word of docs/moves.md", text);
        }

        void end() throws ProtocolException {
            if (!left.isEmpty()) {
                throw bad(left.keySet().iterator().next(), "no such member", "one");
            }
        }
    }
}
