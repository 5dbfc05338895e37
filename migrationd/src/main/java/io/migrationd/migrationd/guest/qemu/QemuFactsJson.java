package io.migrationd.migrationd.guest.qemu;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.guest.qemu.Problem.Severity;
import io.migrationd.migrationd.guest.qemu.TargetFacts.QemuAbilities;
import io.migrationd.migrationd.guest.qemu.TargetFacts.Way;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Facts as daemons send them to each other. The reader believes nothing: types, bounds and names are checked. */
public final class QemuFactsJson {
    private static final int MAX_VERSION = 10_000;
    private static final int MAX_VCPUS = 1 << 20;

    private QemuFactsJson() {}

    /** A QEMU's facts. What is longer than the reader takes is cut: it says nothing that a preflight needs. */
    public static ObjectNode encode(QemuFacts facts) {
        ObjectNode json = object();
        facts.name().ifPresent(name -> put(json, "name", name));
        facts.uuid().ifPresent(uuid -> json.put("uuid", uuid.toString()));
        json.set("version", version(facts.version()));
        put(json, "machine-type", facts.machineType());
        put(json, "cpu-model", facts.cpuModel());
        json.put("vcpus", facts.vcpus());
        json.put("kvm", facts.kvm());
        json.put("ram-bytes", facts.ramBytes());
        ArrayNode blocks = json.putArray("blocks");
        facts.blocks().stream().limit(StrictObject.MAX_ELEMENTS).forEach(block -> {
            ObjectNode item = blocks.addObject();
            put(item, "name", block.name());
            item.put("page-size-bytes", block.pageSizeBytes());
            item.put("used-bytes", block.usedBytes());
            item.put("max-bytes", block.maxBytes());
        });
        put(json, "capabilities", facts.capabilities());
        put(json, "parameters", facts.parameters());
        put(json, "run-state", facts.runState().name());
        json.put("running", facts.runState().running());
        put(json, "migration-status", facts.migrationStatus());
        put(json, "blocked-reasons", facts.blockedReasons());
        return json;
    }

    /** Reads a QEMU's facts. */
    public static QemuFacts decode(@Nullable JsonNode json) throws FactsException {
        return decode(new StrictObject("guest", json));
    }

    private static QemuFacts decode(StrictObject in) throws FactsException {
        QemuFacts facts = new QemuFacts(
                in.optionalText("name"),
                in.optionalUuid("uuid"),
                version(in.object("version")),
                in.text("machine-type"),
                in.text("cpu-model"),
                (int) in.number("vcpus", 0, MAX_VCPUS),
                in.flag("kvm"),
                in.number("ram-bytes", 0, Long.MAX_VALUE),
                in.objects(
                        "blocks",
                        block -> new QemuBlock(
                                block.text("name"),
                                block.number("page-size-bytes", 1, Long.MAX_VALUE),
                                block.number("used-bytes", 0, Long.MAX_VALUE),
                                block.number("max-bytes", 0, Long.MAX_VALUE))),
                in.names("capabilities"),
                in.names("parameters"),
                new QemuRunState(in.text("run-state"), in.flag("running")),
                in.text("migration-status"),
                in.texts("blocked-reasons"));
        in.end();
        return facts;
    }

    /** A destination's facts. */
    public static ObjectNode encode(TargetFacts facts) {
        ObjectNode json = object();
        put(json, "daemon-version", facts.daemonVersion());
        facts.uuid().ifPresent(uuid -> json.put("uuid", uuid.toString()));
        json.put("way", facts.way().name().toLowerCase(Locale.ROOT));
        facts.qemu().ifPresent(qemu -> {
            ObjectNode item = json.putObject("qemu");
            item.set("version", version(qemu.version()));
            put(item, "machine-types", qemu.machineTypes());
            put(item, "cpu-models", qemu.cpuModels());
            put(item, "capabilities", qemu.capabilities());
            put(item, "parameters", qemu.parameters());
        });
        facts.waiting().ifPresent(waiting -> json.set("waiting", encode(waiting)));
        json.put("kvm", facts.kvm());
        json.put("userfaultfd", facts.userfaultfd());
        put(json, "userfaultfd-remedy", facts.userfaultfdRemedy());
        json.put("available-bytes", facts.availableBytes());
        put(json, "clashes", facts.clashes());
        put(json, "problems", facts.problems());
        return json;
    }

    /** Reads a destination's facts. */
    public static TargetFacts decodeTarget(@Nullable JsonNode json) throws FactsException {
        StrictObject in = new StrictObject("target", json);
        var qemu = in.optionalObject("qemu");
        var waiting = in.optionalObject("waiting");
        TargetFacts facts = new TargetFacts(
                in.text("daemon-version"),
                in.optionalUuid("uuid"),
                named(Way.values(), "target.way", in.text("way")),
                qemu.isPresent() ? Optional.of(abilities(qemu.get())) : Optional.empty(),
                waiting.isPresent() ? Optional.of(decode(waiting.get())) : Optional.empty(),
                in.flag("kvm"),
                in.flag("userfaultfd"),
                in.text("userfaultfd-remedy"),
                in.number("available-bytes", 0, Long.MAX_VALUE),
                in.texts("clashes"),
                in.texts("problems"));
        in.end();
        return facts;
    }

    /** Problems, most of them of a preflight. */
    public static ArrayNode encode(List<Problem> problems) {
        ArrayNode json = JsonNodeFactory.instance.arrayNode();
        problems.stream().limit(StrictObject.MAX_ELEMENTS).forEach(problem -> {
            ObjectNode item = json.addObject();
            put(item, "code", problem.code());
            item.put("severity", problem.severity().jsonName());
            put(item, "text", problem.text());
        });
        return json;
    }

    /** Reads problems. */
    public static List<Problem> decodeProblems(@Nullable JsonNode json) throws FactsException {
        ObjectNode wrapped = object();
        if (json != null) {
            wrapped.set("problems", json);
        }
        return new StrictObject("", wrapped)
                .objects(
                        "problems",
                        item -> new Problem(
                                item.text("code"),
                                named(Severity.values(), "problems.severity", item.text("severity")),
                                item.text("text")));
    }

    private static QemuAbilities abilities(StrictObject in) throws FactsException {
        QemuAbilities abilities = new QemuAbilities(
                version(in.object("version")),
                in.names("machine-types"),
                in.names("cpu-models"),
                in.names("capabilities"),
                in.names("parameters"));
        in.end();
        return abilities;
    }

    private static ObjectNode version(QemuVersion version) {
        return object().put("major", version.major())
                .put("minor", version.minor())
                .put("micro", version.micro());
    }

    private static QemuVersion version(StrictObject in) throws FactsException {
        QemuVersion version = new QemuVersion(
                (int) in.number("major", 0, MAX_VERSION), (int) in.number("minor", 0, MAX_VERSION), (int)
                        in.number("micro", 0, MAX_VERSION));
        in.end();
        return version;
    }

    private static <T extends Enum<T>> T named(T[] values, String member, String text) throws FactsException {
        for (T value : values) {
            if (value.name().toLowerCase(Locale.ROOT).equals(text)) {
                return value;
            }
        }
        throw new FactsException(member, "a name that this version knows");
    }

    private static void put(ObjectNode json, String name, String text) {
        json.put(name, cut(text));
    }

    private static void put(ObjectNode json, String name, Collection<String> texts) {
        ArrayNode array = json.putArray(name);
        texts.stream().limit(StrictObject.MAX_ELEMENTS).map(QemuFactsJson::cut).forEach(array::add);
    }

    private static String cut(String text) {
        return text.length() <= StrictObject.MAX_TEXT ? text : text.substring(0, StrictObject.MAX_TEXT);
    }

    private static ObjectNode object() {
        return JsonNodeFactory.instance.objectNode();
    }
}
