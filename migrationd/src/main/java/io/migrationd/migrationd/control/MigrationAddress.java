package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.link.MigrationUri;

/** The two ways in which QMP writes where a migration goes: {@code uri} and {@code channels}. We keep the first. */
final class MigrationAddress {
    private MigrationAddress() {}

    /** What {@code uri} or {@code channels} of a command say, exactly one of the two. */
    static String uriOf(Arguments arguments) throws CommandException {
        JsonNode channels = arguments.members().get("channels");
        boolean hasChannels = channels != null && !channels.isEmpty();
        if (hasChannels == arguments.has("uri")) {
            throw new CommandException("need either 'uri' or 'channels' argument");
        }
        String uri = hasChannels ? ofChannels(channels) : arguments.string("uri");
        try {
            return MigrationUri.parse(uri).toString();
        } catch (IllegalArgumentException e) {
            throw new CommandException(String.valueOf(e.getMessage()));
        }
    }

    /** QEMU's SocketAddress of a URI that an engine shows. */
    static ObjectNode toSocketAddress(String uri) {
        ObjectNode address = Json.object();
        return switch (MigrationUri.parse(uri)) {
            case MigrationUri.Tcp(String host, int port) ->
                address.put("type", "inet").put("host", host).put("port", Integer.toString(port));
            case MigrationUri.Unix(String path) -> address.put("type", "unix").put("path", path);
        };
    }

    private static String ofChannels(JsonNode channels) throws CommandException {
        if (channels.size() > 1) {
            throw new CommandException("Parameter 'channels' expects one channel of type 'main'");
        }
        JsonNode address = channels.get(0).get("addr");
        if (address.get("type").textValue().equals("unix")) {
            return "unix:" + address.get("path").textValue();
        }
        String host = address.get("host").textValue();
        return "tcp:%s:%s"
                .formatted(
                        host.contains(":") ? "[" + host + "]" : host,
                        address.get("port").textValue());
    }
}
