package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.vmstate.SectionSplitter.Section;
import io.migrationd.protocol.wire.ChunkSource;
import io.migrationd.protocol.wire.Names;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.zip.GZIPInputStream;

/** The device parts of captured streams; fixtures/vmstate-README.md says how they were cut. */
final class Captures {
    static final List<String> TAILS_7_2 = List.of(
            "bgsnapshot", "block", "compress", "devices-pc", "dirty-bitmap", "multifd", "precopy", "savevm", "xbzrle");
    static final List<String> TAILS_10_0 = List.of(
            "arm",
            "bgsnapshot",
            "devices-pc",
            "dirty-bitmap",
            "file-offset",
            "ignore-shared",
            "live",
            "mapped-ram",
            "mapped-ram-multifd",
            "multifd",
            "multifd-legacy",
            "multifd-persection",
            "multifd-zlib",
            "multifd-zstd",
            "precopy",
            "savevm",
            "switchover-ack",
            "uuid",
            "virtio-mem",
            "xbzrle");
    static final List<String> BLOBS = List.of(
            "vmstate-7.2/colo.checkpoint",
            "vmstate-7.2/postcopy.package",
            "vmstate-7.2/preempt.package",
            "vmstate-7.2/xen-devices.devices",
            "vmstate-10.0/colo.checkpoint",
            "vmstate-10.0/dirty-bitmap-postcopy.package",
            "vmstate-10.0/hugepage-postcopy.package",
            "vmstate-10.0/postcopy.package",
            "vmstate-10.0/preempt.package",
            "vmstate-10.0/xen-devices.devices");

    private Captures() {}

    /** The sections of a piece of stream, the bytes they came from, and the text behind them, empty if none. */
    record Split(List<Section> sections, byte[] run, String description) {}

    /** Every tail with footers. */
    static List<String> tails() {
        List<String> tails = new ArrayList<>();
        TAILS_7_2.forEach(n -> tails.add("vmstate-7.2/" + n + ".tail"));
        TAILS_10_0.forEach(n -> tails.add("vmstate-10.0/" + n + ".tail"));
        return tails;
    }

    static byte[] bytes(String name) {
        String path = "/fixtures/" + name + ".gz";
        try (InputStream in = Objects.requireNonNull(Captures.class.getResourceAsStream(path), path);
                GZIPInputStream unzipped = new GZIPInputStream(in)) {
            return unzipped.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Splits by the footers, with a source that hands out {@code chunkBytes} at a time. */
    static Split splitByFooters(byte[] bytes, int chunkBytes) throws IOException {
        StreamReader in = new StreamReader(chunks(bytes, chunkBytes));
        OpaqueSectionReader reader = new OpaqueSectionReader();
        Set<Integer> known = new HashSet<>();
        List<Section> sections = new ArrayList<>();
        while (!in.atEnd()) {
            int type = in.readU8("type");
            if (type == Elements.EOF) {
                return new Split(sections, Arrays.copyOf(bytes, (int) in.offset()), description(in));
            }
            if (type == Elements.COMMAND) {
                in.readU16("command");
                in.skip("payload", in.readU16("length"));
                continue;
            }
            if (type != Elements.SECTION_FULL) {
                throw new IOException("element " + type + " at " + in.offset());
            }
            int id = in.readInt("id");
            known.add(id);
            Section header =
                    new Section(id, in.readName("name"), in.readInt("instance"), in.readInt("version"), new byte[0]);
            byte[] body = reader.readBody(in, id, known::contains);
            in.skip("footer", 5);
            sections.add(new Section(id, header.name(), header.instanceId(), header.version(), body));
        }
        return new Split(sections, bytes, "");
    }

    private static String description(StreamReader in) throws IOException {
        if (in.atEnd()) {
            return "";
        }
        in.skip("type", 1);
        return Names.fromWire(in.readBytes("text", in.readU32("length"), 1 << 20));
    }

    /** The text that a tail ends with. */
    static String description(byte[] tail) {
        String text = Names.fromWire(tail);
        return text.substring(text.indexOf('{', text.lastIndexOf('\0')));
    }

    static ChunkSource chunks(byte[] bytes, int chunkBytes) {
        ByteBuffer left = ByteBuffer.wrap(bytes);
        return () -> {
            if (!left.hasRemaining()) {
                return null;
            }
            ByteBuffer chunk = left.slice(left.position(), Math.min(chunkBytes, left.remaining()));
            left.position(left.position() + chunk.remaining());
            return chunk;
        };
    }

    /** A source that is silent for ever after {@code bytes}: asking it for more is a test failure. */
    static ChunkSource thenSilent(byte[] bytes) {
        ChunkSource before = chunks(bytes, bytes.length);
        return () -> {
            ByteBuffer chunk = before.next();
            if (chunk == null) {
                throw new AssertionError("waits for bytes that the source never sends");
            }
            return chunk;
        };
    }
}
