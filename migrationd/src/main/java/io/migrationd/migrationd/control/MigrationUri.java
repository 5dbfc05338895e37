package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/** The two ways in which QMP writes where a migration goes: {@code uri} and {@code channels}. We keep the first. */
final class MigrationUri {
    private static final String TCP = "tcp:";
    private static final String UNIX = "unix:";

    private MigrationUri() {}

    /** What {@code uri} or {@code channels} of a command say, exactly one of the two. */
    static String of(Arguments arguments) throws CommandException {
        JsonNode channels = arguments.members().get("channels");
        boolean hasChannels = channels != null && !channels.isEmpty();
        if (hasChannels == arguments.has("uri")) {
            throw new CommandException("need either 'uri' or 'channels' argument");
        }
        if (!hasChannels) {
            return requireValid(arguments.string("uri"));
        }
        if (channels.size() > 1) {
            throw new CommandException("Parameter 'channels' expects one channel of type 'main'");
        }
        return requireValid(ofAddress(channels.get(0).get("addr")));
    }

    /** QEMU's SocketAddress of a URI that was valid before. */
    static ObjectNode toAddress(String uri) {
        ObjectNode address = Json.object();
        if (uri.startsWith(UNIX)) {
            return address.put("type", "unix").put("path", uri.substring(UNIX.length()));
        }
        int colon = uri.lastIndexOf(':');
        String host = uri.substring(TCP.length(), colon);
        boolean bracketed = host.startsWith("[") && host.endsWith("]");
        return address.put("type", "inet")
                .put("host", bracketed ? host.substring(1, host.length() - 1) : host)
                .put("port", uri.substring(colon + 1));
    }

    private static String ofAddress(JsonNode address) {
        if (address.get("type").textValue().equals("unix")) {
            return UNIX + address.get("path").textValue();
        }
        String host = address.get("host").textValue();
        return TCP + (host.contains(":") ? "[" + host + "]" : host) + ":"
                + address.get("port").textValue();
    }

    private static String requireValid(String uri) throws CommandException {
        if (uri.startsWith(UNIX)) {
            if (uri.length() == UNIX.length() || uri.indexOf('\0') >= 0) {
                throw new CommandException("unix: needs a path, for example unix:/run/migrationd/in.sock");
            }
        } else if (uri.startsWith(TCP)) {
            if (!uri.matches("tcp:(\\[[0-9a-fA-F:.%]+]|[^:\\[\\]\\s]*):[0-9]{1,5}")
                    || Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1)) > 0xffff) {
                throw new CommandException(
                        "'%s' is not tcp:HOST:PORT with a port from 0 to 65535; an IPv6 address needs brackets"
                                .formatted(uri));
            }
        } else {
            throw new CommandException("unknown migration protocol: '%s'; known are tcp: and unix:".formatted(uri));
        }
        return uri;
    }
}
