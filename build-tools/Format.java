import com.palantir.javaformat.java.Formatter;
import com.palantir.javaformat.java.FormatterException;
import com.palantir.javaformat.java.ImportOrderer;
import com.palantir.javaformat.java.JavaFormatterOptions;
import com.palantir.javaformat.java.RemoveUnusedImports;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/**
 * {@code java Format.java check|apply ROOT}: palantir-java-format over every source file below ROOT. It is run by
 * source so that it always uses the JDK of the toolchain: the formatter parses with the compiler of the JVM it runs in.
 */
final class Format {
    public static void main(String[] args) throws IOException, FormatterException {
        boolean apply = args[0].equals("apply");
        Path root = Path.of(args[1]).toRealPath();
        Formatter formatter = Formatter.createFormatter(JavaFormatterOptions.builder()
                .style(JavaFormatterOptions.Style.PALANTIR)
                .formatJavadoc(true)
                .build());
        int wrong = 0;
        for (Path file : sources(root)) {
            String before = Files.readString(file);
            String after;
            try {
                after = formatter.formatSource(ImportOrderer.reorderImports(
                        RemoveUnusedImports.removeUnusedImports(before), JavaFormatterOptions.Style.PALANTIR));
            } catch (FormatterException e) {
                throw new IllegalStateException(root.relativize(file) + " can't be parsed: " + e.getMessage(), e);
            }
            if (!after.equals(before)) {
                wrong++;
                System.err.println((apply ? "formatted " : "not formatted: ") + root.relativize(file));
                if (apply) {
                    Files.writeString(file, after);
                }
            }
        }
        if (wrong > 0 && !apply) {
            System.err.println(wrong + " files are not formatted; run bin/format");
            System.exit(1);
        }
    }

    private static List<Path> sources(Path root) throws IOException {
        try (Stream<Path> files = Files.walk(root)) {
            return files.filter(f -> f.toString().endsWith(".java"))
                    .filter(f -> !root.relativize(f).toString().contains("target/"))
                    .sorted()
                    .toList();
        }
    }
}
