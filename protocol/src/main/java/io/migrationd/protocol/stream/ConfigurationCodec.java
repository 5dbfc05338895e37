package io.migrationd.protocol.stream;

import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import org.jspecify.annotations.Nullable;

/**
 * The configuration section: u8 0x07, be32 length and machine type name, then subsections (u8 0x05, counted name, be32
 * version 1, body) as long as their names begin with {@code configuration}. It has no length and no footer.
 *
 * <p>Wire source: QEMU 10.0 migration/savevm.c, vmstate_configuration and its subsections.
 */
public final class ConfigurationCodec {
    /** The type byte. Legal directly after the header only, so that its presence can be seen. */
    public static final int TYPE = 0x07;

    private static final int SUBSECTION = 0x05;
    private static final int SUBSECTION_VERSION = 1;
    private static final String PARENT = "configuration";
    private static final String PAGE_BITS = "configuration/target-page-bits";
    private static final String CAPABILITIES = "configuration/capabilities";
    private static final String UUID_NAME = "configuration/uuid";

    private ConfigurationCodec() {}

    /** True if the next byte starts a configuration section. Consumes nothing. */
    public static boolean isNext(StreamReader in) throws IOException {
        ByteBuffer next = in.peek(1);
        return next != null && next.get(0) == TYPE;
    }

    /**
     * Reads the section up to its last subsection. What follows stays unread.
     *
     * @throws ProtocolException if it is not there, malformed, or has a subsection that we do not know
     */
    public static ReceivedConfiguration read(StreamReader in) throws IOException {
        long at = in.offset();
        int type = in.readU8("configuration.type");
        if (type != TYPE) {
            throw new ProtocolException(
                    "configuration.type",
                    at,
                    "0x07, a configuration section (or both ends with send-configuration off)",
                    "0x%02x".formatted(type));
        }
        long machineTypeOffset = in.offset();
        String machineType = readMachineType(in);
        Subsections subsections = new Subsections(in);
        for (String name = peekSubsection(in); name != null; name = peekSubsection(in)) {
            subsections.read(name);
        }
        return new ReceivedConfiguration(
                new Configuration(machineType, subsections.targetPageBits, subsections.capabilities, subsections.uuid),
                machineTypeOffset,
                subsections.offsetOf(PAGE_BITS),
                subsections.offsetOf(CAPABILITIES),
                subsections.offsetOf(UUID_NAME));
    }

    /**
     * Writes the section, subsections in QEMU's order.
     *
     * @throws IllegalArgumentException if a name has no bytes or more than 255
     */
    public static void write(Configuration configuration, WireWriter out) {
        byte[] machineType = Names.toWire(configuration.machineType());
        out.writeU8(TYPE).writeInt(machineType.length).writeBytes(machineType);
        configuration
                .targetPageBits()
                .ifPresent(bits -> subsection(PAGE_BITS, out).writeInt(bits));
        if (!configuration.capabilities().isEmpty()) {
            subsection(CAPABILITIES, out).writeInt(configuration.capabilities().size());
            configuration.capabilities().forEach(out::writeName);
        }
        configuration
                .uuid()
                .ifPresent(uuid -> subsection(UUID_NAME, out)
                        .writeLong(uuid.getMostSignificantBits())
                        .writeLong(uuid.getLeastSignificantBits()));
    }

    private static WireWriter subsection(String name, WireWriter out) {
        return out.writeU8(SUBSECTION).writeName(name).writeInt(SUBSECTION_VERSION);
    }

    private static String readMachineType(StreamReader in) throws IOException {
        long at = in.offset();
        long length = in.readU32("configuration.machine-type.length");
        if (length == 0 || length > StreamLimits.MAX_MACHINE_NAME) {
            throw new ProtocolException(
                    "configuration.machine-type.length",
                    at,
                    "1 to " + StreamLimits.MAX_MACHINE_NAME + " bytes",
                    length + " bytes");
        }
        return Names.fromWire(in.readBytes("configuration.machine-type", length, StreamLimits.MAX_MACHINE_NAME));
    }

    /** The name of the subsection that starts here, or null if the section has ended. Consumes nothing. */
    private static @Nullable String peekSubsection(StreamReader in) throws IOException {
        ByteBuffer next = in.peek(1);
        if (next == null || next.get(0) != SUBSECTION) {
            return null;
        }
        ByteBuffer counted = in.peek(2);
        int length = counted == null ? 0 : Byte.toUnsignedInt(counted.get(1));
        if (length <= PARENT.length()) {
            return null;
        }
        ByteBuffer named = in.peek(2 + length);
        if (named == null) {
            throw new ProtocolException(
                    "configuration.subsection.name", in.offset() + 1, length + " bytes", "end of input");
        }
        String name = StandardCharsets.ISO_8859_1.decode(named.slice(2, length)).toString();
        return name.startsWith(PARENT) ? name : null;
    }

    /** What the subsections said so far. */
    private static final class Subsections {
        private final StreamReader in;
        private final Map<String, Long> offsets = new HashMap<>();
        private OptionalInt targetPageBits = OptionalInt.empty();
        private List<String> capabilities = List.of();
        private Optional<UUID> uuid = Optional.empty();

        Subsections(StreamReader in) {
            this.in = in;
        }

        long offsetOf(String name) {
            return offsets.getOrDefault(name, in.offset());
        }

        void read(String name) throws IOException {
            long at = in.offset();
            in.skip("configuration.subsection", 2L + name.length());
            if (offsets.putIfAbsent(name, at) != null) {
                throw new ProtocolException(
                        "configuration.subsection", at, "each subsection once", "a second " + Printable.quote(name));
            }
            switch (name) {
                case PAGE_BITS -> targetPageBits = OptionalInt.of(pageBits());
                case CAPABILITIES -> capabilities = capabilities();
                case UUID_NAME -> uuid = Optional.of(uuid());
                default ->
                    throw new ProtocolException(
                            "configuration.subsection",
                            at,
                            "target-page-bits, capabilities or uuid",
                            "unknown subsection " + Printable.quote(name));
            }
        }

        private int pageBits() throws IOException {
            version(PAGE_BITS);
            long at = in.offset();
            long bits = in.readU32(PAGE_BITS);
            if (bits < StreamLimits.MIN_PAGE_BITS || bits > StreamLimits.MAX_PAGE_BITS) {
                throw new ProtocolException(
                        PAGE_BITS, at, StreamLimits.MIN_PAGE_BITS + " to " + StreamLimits.MAX_PAGE_BITS, bits);
            }
            return (int) bits;
        }

        private List<String> capabilities() throws IOException {
            version(CAPABILITIES);
            long at = in.offset();
            long count = in.readU32(CAPABILITIES);
            if (count > StreamLimits.MAX_CAPABILITIES) {
                throw new ProtocolException(
                        CAPABILITIES, at, "at most " + StreamLimits.MAX_CAPABILITIES + " names", count + " names");
            }
            List<String> names = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                names.add(in.readName(CAPABILITIES));
            }
            return names;
        }

        private UUID uuid() throws IOException {
            version(UUID_NAME);
            return new UUID(in.readLong(UUID_NAME), in.readLong(UUID_NAME));
        }

        private void version(String name) throws IOException {
            long at = in.offset();
            int version = in.readInt(name);
            if (version != SUBSECTION_VERSION) {
                throw new ProtocolException(
                        name, at, "version " + SUBSECTION_VERSION, "version " + Integer.toUnsignedString(version));
            }
        }
    }
}
