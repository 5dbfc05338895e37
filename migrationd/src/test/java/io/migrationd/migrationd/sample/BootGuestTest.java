package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Boot guest")
class BootGuestTest {
    @TempDir
    private Path folder;

    @Test
    void firmwareStartsAtTheResetVector() {
        byte[] image = new BootGuest(2, 1, 1, 0, 1).firmware();

        assertThat(image).hasSize(65536);
        assertThat(ByteBuffer.wrap(image, 0xFFF0, 5))
                .isEqualTo(ByteBuffer.wrap(new byte[] {(byte) 0xEA, 0x0A, 0x00, 0x00, (byte) 0xF0}));
    }

    @Test
    void verifyFindsAWrongDword() throws Exception {
        BootGuest guest = new BootGuest(1, 1, 1, 0, 1);
        ByteBuffer ram = ByteBuffer.allocate(0x100000 + 3 * 4096).order(ByteOrder.LITTLE_ENDIAN);
        fillCold(ram);
        ram.putInt(0x101000, 0x4447494D).putInt(0x101004, 1); // alive, one step done: the page is in work for round 2
        for (int offset = 0; offset < 4096; offset += 0x200) {
            ram.putInt(0x102000 + offset, 0x9E3779B1 + offset);
        }
        ram.putInt(0x102FFC, 1);
        Path image = folder.resolve("ram");

        Files.write(image, ram.array());
        assertThat(guest.verify(image)).isEqualTo(new RamReport(List.of(2), List.of()));

        ram.putInt(0x102FFC, 3);
        Files.write(image, ram.array());
        assertThat(guest.verify(image).damage())
                .containsExactly("vCPU 0 page 0 offset 0xffc: expected 00000001 of round 1 (step 1), got 00000003");
    }

    @Test
    void serialLogJoinsALineThatWasCutByAMigration() throws Exception {
        Path first = Files.writeString(folder.resolve("a"), "R00000001 00000000\nR000000");
        Path second = Files.writeString(folder.resolve("b"), "02 00000000\nR0000");

        SerialLog log = SerialLog.of(first, second);

        assertThat(log.lastRound()).isEqualTo(2);
        assertThat(log.damage()).isEmpty();
    }

    @Test
    void serialLogReportsErrorsAndGaps() throws Exception {
        Path file = Files.writeString(
                folder.resolve("a"), "R00000001 00000000\nE00000000 00000002 00000007\nR00000004 00000000\n");

        assertThat(SerialLog.of(file).damage())
                .containsExactly("line 2: E00000000 00000002 00000007", "line 3: expected round 3, got 4");
    }

    private static void fillCold(ByteBuffer ram) {
        int value = 1;
        for (int offset = 0; offset < 4096; offset += 4) {
            value = value * 1664525 + 1013904223;
            ram.putInt(0x100000 + offset, value);
        }
    }
}
