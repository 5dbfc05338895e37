package io.migrationd.it.guest;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Log of the Linux guest")
class LinuxLogTest {
    @TempDir
    private Path folder;

    @Test
    void joinsALineThatWasCutByAMigration() throws Exception {
        LinuxLog log = LinuxLog.of(
                write("a", "SeaBIOS\r\nG 1 acpi_pm 2\r\nL 1 3000 10 5 0 0 9 0\r\nL 2 40"),
                write("b", "00 20 9 0 0 9 6\r\nL 3 5"));

        assertThat(log.clockSource()).contains("acpi_pm");
        assertThat(log.last()).contains(new LinuxLog.Line(2, 4000, 20, 9, 0, 0, 9, 6));
        assertThat(log.damage()).isEmpty();
    }

    @Test
    void findsGapsErrorsAndAClockThatGoesBack() throws Exception {
        LinuxLog log = LinuxLog.of(write("a", """
                G 1 acpi_pm 1
                L 1 3000 10 5 0 0 9 0
                E page 7 of 1: expected sequence 2, got 1 of page 7 of 1, sum right
                L 3 4000 10 5 1 0 9 0
                L 3 3500 10 5 0 0 9 0
                """));

        assertThat(log.damage())
                .containsExactly(
                        "E page 7 of 1: expected sequence 2, got 1 of page 7 of 1, sum right",
                        "expected line 2, later than 3000 ms, got: L 3 4000 10 5 1 0 9 0",
                        "L 3 4000 10 5 1 0 9 0",
                        "expected line 3, later than 4000 ms, got: L 3 3500 10 5 0 0 9 0");
    }

    private Path write(String name, String text) throws IOException {
        return Files.writeString(folder.resolve(name), text);
    }
}
