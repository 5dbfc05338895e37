package io.migrationd.migrationd.guest.process;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.StreamReadFeature;
import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.guest.process.GuestHello.Region;
import io.migrationd.migrationd.guest.process.GuestMessage.Bye;
import io.migrationd.migrationd.guest.process.GuestMessage.Check;
import io.migrationd.migrationd.guest.process.GuestMessage.Hello;
import io.migrationd.migrationd.guest.process.GuestMessage.Ready;
import io.migrationd.migrationd.guest.process.GuestMessage.Refused;
import io.migrationd.migrationd.guest.process.GuestMessage.Reply;
import io.migrationd.migrationd.guest.process.GuestMessage.Request;
import io.migrationd.migrationd.guest.process.GuestMessage.SectionHeader;
import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.regex.Pattern;

/** One JSON object per line, UTF-8. The format is ours: docs/guest-protocol.md. */
public final class GuestMessageCodec {
    private static final int MAX_TEXT = 1024;
    private static final int MAX_PAGE_BYTES = 1 << 30;
    private static final int MIN_PAGE_BYTES = 4096;
    /** User addresses of 57-bit virtual addressing, and more than any guest-physical address. */
    private static final long MAX_ADDRESS = 1L << 56;

    private static final Pattern GUEST_NAME = Pattern.compile("[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}");
    private static final Pattern BLOCK_NAME = Pattern.compile("[\\x21-\\x7E]{1,255}");
    private static final Pattern UUID_TEXT = Pattern.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}");
    private static final TypeReference<LinkedHashMap<String, Object>> REPORT = new TypeReference<>() {};
    private static final JsonMapper JSON = mapper();

    private GuestMessageCodec() {}

    /** A message and how many raw bytes follow its line. */
    public record Line(GuestMessage message, int payloadBytes) {}

    private static JsonMapper mapper() {
        JsonMapper mapper = JsonMapper.builder()
                .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
                .enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS)
                .build();
        mapper.getFactory()
                .setStreamReadConstraints(StreamReadConstraints.builder()
                        .maxNestingDepth(64)
                        .maxNumberLength(32)
                        .maxStringLength(GuestProtocol.MAX_LINE_BYTES)
                        .build());
        return mapper;
    }

    /** The line of a message that no payload follows, its line feed included. */
    public static byte[] encode(GuestMessage message) {
        return encode(message, 0);
    }

    /** The line of a message, its line feed included. */
    public static byte[] encode(GuestMessage message, int payloadBytes) {
        ObjectNode line = JsonNodeFactory.instance.objectNode();
        switch (message) {
            case Hello(GuestHello guest) -> writeHello(line.put("type", "hello"), guest);
            case Ready(int version) -> line.put("type", "ready").put("version", version);
            case Refused(String reason) -> line.put("type", "refused").put("reason", cut(reason));
            case Request request -> writeRequest(line.put("type", "request"), request);
            case Reply reply -> writeReply(line.put("type", "reply"), reply);
            case Check(Map<String, Object> report) -> line.put("type", "check").set("report", JSON.valueToTree(report));
            case Bye(String reason) -> line.put("type", "bye").put("reason", cut(reason));
        }
        if (payloadBytes > 0) {
            line.put("payload", payloadBytes);
        }
        return (line + "\n").getBytes(StandardCharsets.UTF_8);
    }

    /**
     * The message of one line, without its line feed.
     *
     * @param offset of the line in the connection
     */
    public static Line decode(byte[] line, long offset) throws ProtocolException {
        JsonMembers members = JsonMembers.of(parse(line, offset), "message", offset);
        String type = members.text("type", 1, MAX_TEXT);
        int payload = members.has("payload") ? (int) members.number("payload", 1, GuestProtocol.MAX_PAYLOAD_BYTES) : 0;
        GuestMessage message = switch (type) {
            case "hello" -> new Hello(readHello(members, offset));
            case "ready" -> new Ready((int) members.number("version", 1, Integer.MAX_VALUE));
            case "refused" -> new Refused(members.text("reason", 0, MAX_TEXT));
            case "request" -> readRequest(members, payload, offset);
            case "reply" -> readReply(members, payload, offset);
            case "check" -> new Check(report(members.object("report")));
            case "bye" -> new Bye(members.text("reason", 0, MAX_TEXT));
            default -> throw members.failure("type", "a message type", type);
        };
        members.end();
        boolean mayCarry = message instanceof Request || message instanceof Reply;
        if (payload > 0 && !mayCarry) {
            throw members.failure("payload", "none with " + type, payload);
        }
        return new Line(message, payload);
    }

    private static JsonNode parse(byte[] line, long offset) throws ProtocolException {
        try {
            return JSON.readTree(line);
        } catch (JsonProcessingException e) {
            throw new ProtocolException("message", offset, "a JSON object", e.getOriginalMessage(), e);
        } catch (IOException e) {
            throw new ProtocolException("message", offset, "a JSON object in UTF-8", e, e);
        }
    }

    private static Map<String, Object> report(JsonNode report) {
        return Collections.unmodifiableMap(JSON.convertValue(report, REPORT));
    }

    private static void writeHello(ObjectNode line, GuestHello guest) {
        line.put("version", GuestProtocol.VERSION).put("name", guest.name());
        guest.uuid().ifPresent(uuid -> line.put("uuid", uuid.toString()));
        line.put("pid", guest.pid())
                .put("machine-type", guest.machineType())
                .put("target-page-size", guest.targetPageSizeBytes())
                .put("mode", guest.mode().jsonName())
                .put("descriptors", guest.descriptorCount());
        ArrayNode regions = line.putArray("regions");
        for (Region region : guest.regions()) {
            regions.addObject()
                    .put("name", region.name())
                    .put("guest-physical", region.guestPhysical())
                    .put("host-virtual", region.hostVirtual())
                    .put("length", region.lengthBytes())
                    .put("page-size", region.pageSizeBytes())
                    .put("descriptor", region.descriptorIndex())
                    .put("offset", region.offset());
        }
        line.putArray("devices").addAll(guest.devices());
        if (guest.postcopy()) {
            line.put("postcopy", true);
        }
    }

    private static GuestHello readHello(JsonMembers members, long offset) throws ProtocolException {
        // The version comes first: what else a message holds is the version's business.
        long version = members.number("version", 1, Integer.MAX_VALUE);
        if (version != GuestProtocol.VERSION) {
            throw members.failure("version", Integer.toString(GuestProtocol.VERSION), version);
        }
        String name = matching(members, "name", GUEST_NAME, "1 to 64 of A-Z a-z 0-9 . _ -, no leading dot");
        Optional<UUID> uuid = Optional.empty();
        if (members.has("uuid")) {
            uuid = Optional.of(UUID.fromString(matching(members, "uuid", UUID_TEXT, "a UUID")));
        }
        long pid = members.number("pid", 1, Integer.MAX_VALUE);
        String machineType = matching(members, "machine-type", BLOCK_NAME, "1 to 255 printable characters");
        int targetPageSize = members.powerOfTwo("target-page-size", MIN_PAGE_BYTES, 64 << 10);
        GuestMode mode = members.word("mode", GuestMode.class);
        int descriptors = (int) members.number("descriptors", 2, GuestProtocol.MAX_DESCRIPTORS);
        List<Region> regions = new ArrayList<>();
        for (JsonNode node : members.array("regions", 1, GuestProtocol.MAX_REGIONS)) {
            String path = "message.regions[%d]".formatted(regions.size());
            regions.add(readRegion(JsonMembers.of(node, path, offset), targetPageSize, descriptors));
        }
        List<JsonNode> devices = members.array("devices", 0, GuestProtocol.MAX_DEVICES);
        boolean postcopy = members.has("postcopy") && members.flag("postcopy");
        return new GuestHello(
                name,
                uuid,
                pid,
                machineType,
                targetPageSize,
                mode,
                descriptors,
                List.copyOf(regions),
                devices,
                postcopy);
    }

    private static Region readRegion(JsonMembers members, int targetPageSize, int descriptors)
            throws ProtocolException {
        String name = matching(members, "name", BLOCK_NAME, "1 to 255 printable characters");
        int pageSize = members.powerOfTwo("page-size", MIN_PAGE_BYTES, MAX_PAGE_BYTES);
        int unit = Math.max(pageSize, targetPageSize);
        Region region = new Region(
                name,
                members.multiple("guest-physical", targetPageSize, 0, MAX_ADDRESS),
                members.multiple("host-virtual", pageSize, MAX_ADDRESS),
                members.multiple("length", unit, GuestProtocol.MAX_RAM_BYTES),
                pageSize,
                (int) members.number("descriptor", 1, descriptors - 1L),
                members.multiple("offset", pageSize, 0, GuestProtocol.MAX_RAM_BYTES));
        members.end();
        return region;
    }

    private static String matching(JsonMembers members, String name, Pattern pattern, String allowed)
            throws ProtocolException {
        String text = members.text(name, 1, Names.MAX_LENGTH);
        if (!pattern.matcher(text).matches()) {
            throw members.failure(name, allowed, '"' + text + '"');
        }
        return text;
    }

    private static void writeRequest(ObjectNode line, Request request) {
        line.put("id", request.id()).put("verb", request.verb().jsonName());
        if (request.verb() == GuestVerb.RUN) {
            line.put("start", request.start());
        }
        if (request.verb() == GuestVerb.LOAD) {
            writeSections(line, request.sections());
        }
    }

    private static Request readRequest(JsonMembers members, int payload, long offset) throws ProtocolException {
        long id = members.number("id", 1, Long.MAX_VALUE);
        GuestVerb verb = members.word("verb", GuestVerb.class);
        boolean start = verb == GuestVerb.RUN && members.flag("start");
        List<SectionHeader> sections =
                verb == GuestVerb.LOAD ? readSections(members, payload, offset) : noSections(members, payload);
        return new Request(id, verb, start, sections);
    }

    private static void writeReply(ObjectNode line, Reply reply) {
        line.put("id", reply.id());
        reply.error().ifPresent(error -> line.put("error", cut(error)));
        reply.mode().ifPresent(mode -> line.put("mode", mode.jsonName()));
        if (!reply.sections().isEmpty()) {
            writeSections(line, reply.sections());
        }
    }

    private static Reply readReply(JsonMembers members, int payload, long offset) throws ProtocolException {
        long id = members.number("id", 1, Long.MAX_VALUE);
        Optional<String> error = members.optionalText("error", 0, MAX_TEXT);
        Optional<GuestMode> mode =
                members.has("mode") ? Optional.of(members.word("mode", GuestMode.class)) : Optional.empty();
        List<SectionHeader> sections =
                members.has("sections") ? readSections(members, payload, offset) : noSections(members, payload);
        return new Reply(id, error, mode, sections);
    }

    private static void writeSections(ObjectNode line, List<SectionHeader> sections) {
        ArrayNode array = line.putArray("sections");
        for (SectionHeader section : sections) {
            array.addObject()
                    .put("name", section.name())
                    .put("instance-id", Integer.toUnsignedLong(section.instanceId()))
                    .put("version", section.version())
                    .put("length", section.lengthBytes());
        }
    }

    private static List<SectionHeader> readSections(JsonMembers members, int payload, long offset)
            throws ProtocolException {
        List<SectionHeader> sections = new ArrayList<>();
        long sum = 0;
        for (JsonNode node : members.array("sections", 0, GuestProtocol.MAX_DEVICES)) {
            String path = "message.sections[%d]".formatted(sections.size());
            JsonMembers section = JsonMembers.of(node, path, offset);
            sections.add(new SectionHeader(
                    matching(section, "name", BLOCK_NAME, "1 to 255 printable characters"),
                    (int) section.number("instance-id", 0, 0xFFFF_FFFFL),
                    (int) section.number("version", 0, Integer.MAX_VALUE),
                    (int) section.number("length", 0, GuestProtocol.MAX_PAYLOAD_BYTES)));
            section.end();
            sum += sections.getLast().lengthBytes();
        }
        if (sum != payload) {
            throw members.failure("payload", "the %d bytes of all sections".formatted(sum), payload);
        }
        return List.copyOf(sections);
    }

    private static List<SectionHeader> noSections(JsonMembers members, int payload) throws ProtocolException {
        if (payload > 0) {
            throw members.failure("payload", "none without sections", payload);
        }
        return List.of();
    }

    private static String cut(String text) {
        return text.length() <= MAX_TEXT ? text : text.substring(0, MAX_TEXT);
    }
}
