package io.migrationd.migrationd.relay.tap;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URISyntaxException;
import java.net.URL;
import java.nio.ByteBuffer;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.function.Predicate;
import java.util.random.RandomGenerator;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;

/** The captured streams that all modules are tested with. */
final class Captures {
    private Captures() {}

    /** File names that {@code wanted} takes, in order. */
    static List<String> names(Predicate<String> wanted) {
        URL readme = Objects.requireNonNull(Captures.class.getResource("/fixtures/manifest.json"));
        try {
            if (!readme.getProtocol().equals("jar")) {
                return names(Path.of(readme.toURI()).resolveSibling("."), wanted);
            }
            // Maven hands the other module's test classes over as a jar.
            try (FileSystem jar = FileSystems.newFileSystem(readme.toURI(), Map.of())) {
                return names(jar.getPath("/fixtures"), wanted);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static List<String> names(Path folder, Predicate<String> wanted) throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.map(file -> String.valueOf(file.getFileName()))
                    .filter(name -> name.endsWith(".gz") && wanted.test(name))
                    .sorted()
                    .toList();
        }
    }

    static byte[] read(String name) {
        try (GZIPInputStream in = new GZIPInputStream(
                Objects.requireNonNull(Captures.class.getResourceAsStream("/fixtures/" + name), name))) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Hands {@code bytes} over in pieces of 1 to {@code most}, and says that the channel has ended. */
    static <T extends PushParser> T feed(T tap, byte[] bytes, RandomGenerator random, int most) {
        for (int at = 0; at < bytes.length; ) {
            int piece = Math.min(bytes.length - at, most == 1 ? 1 : 1 + random.nextInt(most));
            // Not at position 0 of its array, little-endian, so that neither is relied on.
            ByteBuffer buffer = ByteBuffer.wrap(bytes, at, piece).order(java.nio.ByteOrder.LITTLE_ENDIAN);
            tap.accept(buffer);
            if (buffer.position() != at || buffer.remaining() != piece) {
                throw new AssertionError("the tap moved the buffer");
            }
            at += piece;
        }
        tap.finish();
        return tap;
    }
}
