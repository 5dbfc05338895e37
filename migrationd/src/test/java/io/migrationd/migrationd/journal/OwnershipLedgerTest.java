package io.migrationd.migrationd.journal;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.link.MigrationUri;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

@DisplayName("Ownership ledger")
class OwnershipLedgerTest {
    private static final MigrationUri HOST_B = MigrationUri.parse("tcp:host-b:4444");
    private static final UUID ID = UUID.fromString("12345678-9abc-def0-1122-334455667788");

    @TempDir
    private Path directory;

    @Test
    void isEmptyAtFirst() throws IOException {
        OwnershipLedger ledger = new OwnershipLedger(directory.resolve("journal/owners"));

        assertThat(ledger.isReleased(new MemoryGuest("web01"))).isFalse();
        assertThat(ledger.releasedTo(new MemoryGuest("web01"))).isEqualTo("nobody");
    }

    @Test
    void aReleaseSurvivesARestart() throws IOException {
        MemoryGuest named = new MemoryGuest("web01");
        MemoryGuest identified = new MemoryGuest("db01").uuid(ID);
        OwnershipLedger ledger = new OwnershipLedger(directory);
        ledger.release(named, HOST_B);
        ledger.release(identified, HOST_B);

        for (OwnershipLedger seen : new OwnershipLedger[] {ledger, new OwnershipLedger(directory)}) {
            assertThat(seen.isReleased(named)).isTrue();
            assertThat(seen.isReleased(identified)).isTrue();
            assertThat(seen.isReleased(new MemoryGuest("db01")))
                    .as("another guest of that name")
                    .isFalse();
            assertThat(seen.isReleased(new MemoryGuest("db02").uuid(ID)))
                    .as("another copy of the guest on this host: it may have come in since")
                    .isFalse();
            assertThat(seen.releasedTo(named)).startsWith("tcp:host-b:4444 at 20");
        }
    }

    @Test
    void isOneFilePerGuest() throws IOException {
        OwnershipLedger ledger = new OwnershipLedger(directory);
        ledger.release(new MemoryGuest("web01"), HOST_B);
        ledger.release(new MemoryGuest("db01").uuid(ID), HOST_B);
        ledger.release(new MemoryGuest("web01"), MigrationUri.parse("unix:/run/c.sock"));

        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files.map(f -> f.getFileName().toString()))
                    .containsExactlyInAnyOrder("web01@-.released", "db01@" + ID + ".released");
        }
        assertThat(Files.readString(directory.resolve("web01@-.released"))).startsWith("unix:/run/c.sock at 20");
    }

    @Test
    void aRecordThatWasNotFinishedIsNone() throws IOException {
        Files.writeString(directory.resolve("web01@-.new"), "tcp:host");

        assertThat(new OwnershipLedger(directory).isReleased(new MemoryGuest("web01")))
                .isFalse();
    }

    @Test
    void forgetsAGuestThatCameBack() throws IOException {
        MemoryGuest guest = new MemoryGuest("web01");
        OwnershipLedger ledger = new OwnershipLedger(directory);
        ledger.release(guest, HOST_B);

        ledger.forget(guest);
        ledger.forget(guest);

        assertThat(ledger.isReleased(guest)).isFalse();
        assertThat(new OwnershipLedger(directory).isReleased(guest)).isFalse();
    }

    @Test
    void isNotReleasedWhenItCannotBeWritten() throws IOException {
        MemoryGuest guest = new MemoryGuest("web01");
        OwnershipLedger ledger = new OwnershipLedger(directory);
        Files.createDirectories(directory.resolve("web01@-.released/not-empty"));

        assertThatThrownBy(() -> ledger.release(guest, HOST_B)).isInstanceOf(IOException.class);

        assertThat(ledger.isReleased(guest)).isFalse();
    }

    /** What the disk says counts after the next restart, so memory must not say otherwise before. */
    @Test
    void isNotForgottenWhenItsRecordCannotBeDeleted() throws IOException {
        MemoryGuest guest = new MemoryGuest("web01");
        OwnershipLedger ledger = new OwnershipLedger(directory);
        ledger.release(guest, HOST_B);
        Files.delete(directory.resolve("web01@-.released"));
        Files.createDirectories(directory.resolve("web01@-.released/not-empty"));

        assertThatThrownBy(() -> ledger.forget(guest)).isInstanceOf(IOException.class);

        assertThat(ledger.isReleased(guest)).isTrue();
    }
}
