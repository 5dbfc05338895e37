package io.migrationd.migrationd.rescue;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("File of kept parts")
class KeptPartsFileTest {
    private static final KeptParts PARTS = new KeptParts(new byte[] {1, 2}, new byte[] {3}, new byte[] {4, 5, 6});

    @TempDir
    private Path directory;

    @Test
    void survives() throws IOException {
        Path file = directory.resolve("kept");
        KeptPartsFile.write(file, new KeptParts(new byte[] {9}, new byte[] {9}, new byte[0]));
        KeptPartsFile.write(file, PARTS);
        KeptParts read = KeptPartsFile.read(file);
        assertThat(read.prologue()).isEqualTo(PARTS.prologue());
        assertThat(read.ramSetup()).isEqualTo(PARTS.ramSetup());
        assertThat(read.packaged()).isEqualTo(PARTS.packaged());
        try (var files = Files.list(directory)) {
            assertThat(files).containsExactly(file);
        }
    }

    @Test
    void keepsAnEmptyPackage() throws IOException {
        Path file = directory.resolve("kept");
        KeptPartsFile.write(file, new KeptParts(new byte[] {9}, new byte[] {8}, new byte[0]));
        assertThat(KeptPartsFile.read(file).packaged()).isEmpty();
    }

    @Test
    void refusesEveryCutAndEveryFlippedBit() throws IOException {
        Path file = directory.resolve("kept");
        KeptPartsFile.write(file, PARTS);
        byte[] whole = Files.readAllBytes(file);
        for (int length = 0; length < whole.length; length++) {
            Files.write(file, Arrays.copyOf(whole, length));
            assertThatThrownBy(() -> KeptPartsFile.read(file))
                    .as("cut at %d", length)
                    .isInstanceOf(IOException.class);
        }
        for (int bit = 0; bit < whole.length * 8; bit++) {
            byte[] flipped = whole.clone();
            flipped[bit / 8] ^= (byte) (1 << bit % 8);
            Files.write(file, flipped);
            assertThatThrownBy(() -> KeptPartsFile.read(file)).as("bit %d", bit).isInstanceOf(IOException.class);
        }
        Files.write(file, Arrays.copyOf(whole, whole.length + 1));
        assertThatThrownBy(() -> KeptPartsFile.read(file)).isInstanceOf(IOException.class);
    }

    @Test
    void refusesPartsThatAreTooLarge() {
        byte[] one = {1};
        assertThatThrownBy(() -> new KeptParts(new byte[KeptParts.MAX_PROLOGUE_BYTES + 1], one, one))
                .hasMessage("prologue of 65537 bytes, must be 1 to 65536");
        assertThatThrownBy(() -> new KeptParts(one, new byte[KeptParts.MAX_RAM_SETUP_BYTES + 1], one))
                .hasMessageContaining("ram setup");
        assertThatThrownBy(() -> new KeptParts(one, new byte[0], one)).hasMessageContaining("ram setup of 0 bytes");
        assertThatThrownBy(() -> new KeptParts(one, one, new byte[KeptParts.MAX_PACKAGED_BYTES + 1]))
                .hasMessageContaining("packaged");
    }
}
