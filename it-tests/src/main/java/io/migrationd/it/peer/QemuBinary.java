package io.migrationd.it.peer;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * A QEMU that may or may not be installed.
 *
 * @param name {@code system} or {@code newer}
 * @param path where it is, if it is
 * @param hint how to get it
 */
public record QemuBinary(String name, Optional<Path> path, String hint) {
    private static final String PROGRAM = "qemu-system-x86_64";
    private static final Pattern VERSION = Pattern.compile("version ([0-9.]+)");

    /** The one on the PATH. */
    public static QemuBinary system() {
        String path = System.getenv().getOrDefault("PATH", "");
        Optional<Path> found = Stream.of(path.split(File.pathSeparator))
                .map(folder -> Path.of(folder, PROGRAM))
                .filter(Files::isExecutable)
                .findFirst();
        return new QemuBinary("system", found, "no " + PROGRAM + " on the PATH (Debian package qemu-system-x86)");
    }

    /**
     * A newer one beside it: the program or folder that MIGRATIOND_QEMU_NEW names, or what bin/install-newer-qemu has
     * installed below the project root.
     */
    public static QemuBinary newer() {
        return new QemuBinary(
                "newer",
                find("MIGRATIOND_QEMU_NEW", ".local/qemu-new"),
                "no newer QEMU (bin/install-newer-qemu installs one)");
    }

    /** One that times its postcopy faults; no test needs it. */
    public static QemuBinary newest() {
        return new QemuBinary(
                "newest",
                find("MIGRATIOND_QEMU_NEWEST", ".local/qemu-newest"),
                "no QEMU of 10.1 or later, which times its faults"
                        + " (bin/install-newer-qemu --suite SUITE --folder .local/qemu-newest installs one)");
    }

    private static Optional<Path> find(String variable, String folderBelowRoot) {
        Stream<Path> candidates = Stream.concat(
                Stream.ofNullable(System.getenv(variable)).map(Path::of),
                parents(Path.of("").toAbsolutePath()).map(folder -> folder.resolve(folderBelowRoot)));
        return candidates
                .map(candidate -> Files.isDirectory(candidate) ? candidate.resolve(PROGRAM) : candidate)
                .filter(Files::isExecutable)
                .findFirst();
    }

    /** Both, also if missing. */
    public static List<QemuBinary> all() {
        return List.of(system(), newer());
    }

    /** Such as {@code 7.2.22}. */
    public String version() throws IOException, InterruptedException {
        Process process = new ProcessBuilder(program(), "--version")
                .redirectErrorStream(true)
                .start();
        String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        process.waitFor();
        Matcher matcher = VERSION.matcher(text);
        if (matcher.find()) {
            return matcher.group(1);
        }
        throw new IOException("%s --version said: %s".formatted(program(), text));
    }

    String program() {
        return path.orElseThrow(() -> new IllegalStateException(hint)).toString();
    }

    private static Stream<Path> parents(Path folder) {
        return Stream.iterate(folder, f -> f != null, Path::getParent);
    }

    @Override
    public String toString() {
        return name;
    }
}
