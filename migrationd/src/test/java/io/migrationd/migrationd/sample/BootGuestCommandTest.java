package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import picocli.CommandLine;

@DisplayName("boot-guest")
class BootGuestCommandTest {
    @TempDir
    private Path folder;

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();

    @Test
    void writesTheImageAndPrintsWhatQemuNeeds() {
        Path image = folder.resolve("guest.bin");

        assertThat(run("--out", image.toString(), "--vcpus", "2", "--ram-mib", "64", "--cold-mib", "32"))
                .isZero();

        assertThat(image).hasSize(65536);
        assertThat(out).hasToString("-m 67117056B -smp 2 -bios " + image + System.lineSeparator());
    }

    @Test
    void refusesPagesThatDoNotFit() {
        assertThat(run("--out", folder.resolve("guest.bin").toString(), "--cold-mib", "16"))
                .isEqualTo(2);

        assertThat(err.toString()).contains("16 MiB of RAM for 18108416 bytes");
    }

    private int run(String... arguments) {
        return new CommandLine(new BootGuestCommand())
                .setOut(new PrintWriter(out, true))
                .setErr(new PrintWriter(err, true))
                .execute(arguments);
    }
}
