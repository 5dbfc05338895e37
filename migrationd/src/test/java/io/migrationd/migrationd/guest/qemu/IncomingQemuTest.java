package io.migrationd.migrationd.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.qemu.GuestDefinition.Incoming;
import io.migrationd.migrationd.qmp.QmpEvents;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.channels.ServerSocketChannel;
import java.nio.channels.SocketChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** With programs that are no QEMU; with real ones: IncomingQemuIT. */
@DisplayName("A QEMU that cannot start")
@Timeout(value = 60, unit = TimeUnit.SECONDS)
class IncomingQemuTest {
    @TempDir
    private Path directory = Path.of("");

    @Test
    void saysWhyItEnded() {
        assertThatThrownBy(() -> start(Duration.ofSeconds(20), "sh", "-c", "echo no such machine >&2; exit 3"))
                .isInstanceOf(GuestException.class)
                .hasMessageContaining("ended")
                .hasMessageContaining("no such machine");
    }

    @Test
    void saysThatThereIsNoSuchProgram() {
        // setsid says it, in the log.
        assertThatThrownBy(() -> start(Duration.ofSeconds(20), "/no/such/qemu"))
                .isInstanceOf(GuestException.class)
                .hasMessageContaining("/no/such/qemu");
    }

    @Test
    void endsOneThatOpensNoMonitorAlsoIfItDoesNotWantTo() throws Exception {
        Path pid = directory.resolve("pid");
        assertThatThrownBy(() -> start(
                        Duration.ofSeconds(1),
                        "sh",
                        "-c",
                        "trap '' TERM; echo $$ > %s; exec 2>&1; while :; do sleep 1; done".formatted(pid)))
                .hasMessageContaining("no monitor at")
                .hasMessageContaining("it printed: (it printed nothing)");
        assertThat(QemuProcessId.of(Long.parseLong(Files.readString(pid).strip()))
                        .filter(QemuProcessId::isAlive))
                .isEmpty();
    }

    @Test
    void doesNotTakeTheSocketOfARunningOne() throws Exception {
        try (ServerSocketChannel server = ServerSocketChannel.open(StandardProtocolFamily.UNIX)) {
            server.bind(UnixDomainSocketAddress.of(qmp()), 1);
            assertThatThrownBy(() -> start(Duration.ofSeconds(1), "true"))
                    .hasMessageContaining("a QEMU answers at " + qmp());
            // Its queue is full: it serves one client and the next one waits.
            try (SocketChannel waiting = SocketChannel.open(UnixDomainSocketAddress.of(qmp()))) {
                assertThat(waiting.isConnected()).isTrue();
                assertThatThrownBy(() -> start(Duration.ofSeconds(1), "true"))
                        .hasMessageContaining("a QEMU answers at " + qmp());
            }
        }
    }

    @Test
    void recognisesAProcessByMoreThanItsNumber() throws Exception {
        Process process = new ProcessBuilder("sleep", "60").start();
        QemuProcessId id = QemuProcessId.of(process.pid()).orElseThrow();
        assertThat(id.isAlive()).isTrue();
        assertThat(new QemuProcessId(id.pid(), id.startTicks() + 1, id.bootId()).isAlive())
                .isFalse();
        assertThat(new QemuProcessId(id.pid(), id.startTicks(), "other").isAlive())
                .isFalse();
        process.destroyForcibly().waitFor();
        assertThat(id.isAlive()).isFalse();
        assertThat(QemuProcessId.of(Long.MAX_VALUE)).isEmpty();
    }

    private Path qmp() {
        return directory.resolve("q");
    }

    private IncomingQemu.Started start(Duration deadline, String... argv) throws GuestException {
        Incoming.Start template = new Incoming.Start(List.of(argv));
        GuestDefinition definition = new GuestDefinition(
                "web01",
                directory.resolve("web01.toml"),
                UUID.randomUUID(),
                qmp(),
                Optional.of(template),
                MoveDefaults.NONE);
        return IncomingQemu.start(
                definition, template, directory.resolve("run"), deadline, Duration.ofSeconds(5), new QmpEvents());
    }
}
