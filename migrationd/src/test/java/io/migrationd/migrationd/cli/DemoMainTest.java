package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.util.Comparator;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("bin/demo")
class DemoMainTest {
    @TempDir
    private Path directory = Path.of("");

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "teleport, 'no scenario ''teleport''; there is: precopy, postcopy, recovery'",
        "precopy,  'run it as bin/demo, or name bin/migrationd with --launcher'"
    })
    void wrongUsageIsTwo(String scenario, String message) {
        CommandRun run = demo("--scenario", scenario);
        assertThat(run.exitCode()).isEqualTo(2);
        assertThat(run.err()).contains(message);
    }

    @Test
    void recoveryNeedsALinkThatCanBeCut() {
        CommandRun run = demo("--scenario", "recovery", "--transport", "unix");
        assertThat(run.exitCode()).isEqualTo(2);
        assertThat(run.err()).contains("scenario recovery goes over tcp");
    }

    @ParameterizedTest(name = "daemon ends with {0}")
    @CsvSource({"3, 3", "2, 1"})
    void aDaemonThatDoesNotStartIsToldWithTheEndOfItsLogAndLeavesNothing(int daemon, int demo) throws IOException {
        Path launcher = launcher("echo \"no userfaultfd here: $1\" >&2; exit " + daemon);
        CommandRun run = demo("--launcher", launcher.toString(), "--json");
        assertThat(run.exitCode()).isEqualTo(demo);
        assertThat(run.err())
                .contains("demo: source-daemon ended with exit code " + daemon)
                .contains("--- source-daemon, last lines:\nno userfaultfd here: serve\n");
        assertThat(run.out())
                .isEqualTo("{\"scenario\":\"precopy\",\"outcome\":\"failed\",\"problems\":"
                        + "[\"source-daemon ended with exit code %d\"]}\n".formatted(daemon));
        assertThat(demoDirectory()).doesNotExist();
    }

    @Test
    void keepLeavesTheDirectoryAndSaysWhere() throws IOException {
        Path launcher = launcher("exit 1");
        CommandRun run = demo("--launcher", launcher.toString(), "--keep");
        Path kept = demoDirectory();
        assertThat(run.err()).contains("demo: logs and configuration are in " + kept);
        assertThat(kept.resolve("source/migrationd.toml"))
                .content()
                .contains("guest-socket = \"%s\"".formatted(kept.resolve("source/run/guest.sock")))
                .contains("address = \"off\"");
        try (Stream<Path> files = Files.walk(kept)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        }
    }

    /**
     * A stand-in for bin/migrationd; it leaves behind which configuration it was given. The demo starts two of them and
     * kills the second when the first has ended, at any point of the script: the name must appear whole or not at all.
     */
    private Path launcher(String script) throws IOException {
        Path launcher = Files.writeString(
                directory.resolve("migrationd"),
                "#!/bin/sh\necho \"$3\" > \"$0.$$\"\nmv \"$0.$$\" \"$0.config\"\n" + script + "\n");
        return Files.setPosixFilePermissions(launcher, PosixFilePermissions.fromString("rwx------"));
    }

    private Path demoDirectory() throws IOException {
        Path config =
                Path.of(Files.readString(directory.resolve("migrationd.config")).strip());
        return config.resolve("../..").normalize();
    }

    private static CommandRun demo(String... arguments) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Terminal terminal = new Terminal(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                false,
                80,
                Duration.ofMillis(1));
        int exitCode = DemoMain.run(terminal, arguments);
        return new CommandRun(exitCode, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }
}
