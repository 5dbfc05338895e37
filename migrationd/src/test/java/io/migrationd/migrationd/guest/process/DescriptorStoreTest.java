package io.migrationd.migrationd.guest.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.awaitility.Awaitility.await;

import io.migrationd.postcopy.os.Libc;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.net.DatagramPacket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.newsclub.net.unix.AFUNIXDatagramSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;

@Timeout(30)
class DescriptorStoreTest {
    private static final GuestListener.Limits LIMITS =
            new GuestListener.Limits(4, Duration.ofSeconds(5), Duration.ofSeconds(2));

    private Path directory;
    private AFUNIXDatagramSocket manager;
    private FakeVmm vmm;

    @BeforeEach
    void manage(@TempDir Path directory) throws Exception {
        this.directory = directory;
        manager = AFUNIXDatagramSocket.newInstance();
        manager.setAncillaryReceiveBufferSize(4096);
        manager.bind(AFUNIXSocketAddress.of(directory.resolve("notify")));
        vmm = new FakeVmm();
    }

    @AfterEach
    void close() {
        manager.close();
        vmm.close();
    }

    private Map<String, String> environment() {
        return Map.of("NOTIFY_SOCKET", directory.resolve("notify").toString());
    }

    /** The next message to the service manager, with the number of descriptors that came along. */
    private String next() throws IOException {
        DatagramPacket packet = new DatagramPacket(new byte[256], 256);
        manager.receive(packet);
        FileDescriptor[] received = manager.getReceivedFileDescriptors();
        int count = received == null ? 0 : received.length;
        for (int i = 0; i < count; i++) {
            new FileOutputStream(received[i]).close();
        }
        String text = new String(packet.getData(), 0, packet.getLength(), StandardCharsets.UTF_8);
        return "%s (%d)".formatted(text.replace('\n', ' '), count);
    }

    @Test
    void keepsWhatAGuestHasHandedOverUntilItIsForgotten() throws Exception {
        Path socket = directory.resolve("guests");
        try (DescriptorStore store = DescriptorStore.of(environment());
                GuestListener listener = GuestListener.open(socket, new RecordingRegistry(), LIMITS, store)) {
            try (ScriptedVmm _ = ScriptedVmm.attach(vmm, socket, GuestMode.RUNNING)) {
                assertThat(next()).isEqualTo("FDSTOREREMOVE=1 FDNAME=guest-web01 (0)");
                assertThat(next()).isEqualTo("FDSTORE=1 FDPOLL=0 FDNAME=guest-web01 (3)");
            }
            ProcessGuest guest = listener.guests().getFirst();
            await().until(() -> !guest.isAttached());
            listener.forget(guest);
            assertThat(next()).isEqualTo("FDSTOREREMOVE=1 FDNAME=guest-web01 (0)");
        }
    }

    @Test
    void aDaemonThatStopsLeavesItsGuestsToTheManager() throws Exception {
        Path socket = directory.resolve("guests");
        try (DescriptorStore store = DescriptorStore.of(environment())) {
            try (GuestListener _ = GuestListener.open(socket, new RecordingRegistry(), LIMITS, store);
                    ScriptedVmm _ = ScriptedVmm.attach(vmm, socket, GuestMode.RUNNING)) {
                next();
                next();
            }
            store.forget("marker");
        }

        assertThat(next()).isEqualTo("FDSTOREREMOVE=1 FDNAME=guest-marker (0)");
    }

    @Test
    void holdsWhatItIsPassedUntilTheGuestIsBackOrLost() throws Exception {
        Map<String, Integer> before = OpenDescriptors.count();
        // Another thread of the test's process may take a number between them.
        int one = Libc.dup(vmm.blocks.getFirst().fd());
        int other = Libc.dup(vmm.tracking.fd());
        int between = Math.abs(other - one) - 1;
        Map<String, String> environment = Map.of(
                "NOTIFY_SOCKET",
                directory.resolve("notify").toString(),
                "LISTEN_PID",
                Long.toString(ProcessHandle.current().pid()),
                "LISTEN_FDS",
                Integer.toString(between + 2),
                "LISTEN_FDNAMES",
                "guest-web01:" + "not-ours:".repeat(between) + "guest-web02");
        try (DescriptorStore store = DescriptorStore.of(environment, Math.min(one, other))) {
            assertThat(store.guestsNotBack()).containsExactlyInAnyOrder("web01", "web02");

            store.keep("web01", vmm.descriptors());
            assertThat(next()).isEqualTo("FDSTOREREMOVE=1 FDNAME=guest-web01 (0)");
            assertThat(next()).isEqualTo("FDSTORE=1 FDPOLL=0 FDNAME=guest-web01 (3)");
            assertThat(store.guestsNotBack()).containsExactly("web02");

            store.forgetLost();
            assertThat(next()).isEqualTo("FDSTOREREMOVE=1 FDNAME=guest-web02 (0)");
            assertThat(store.guestsNotBack()).isEmpty();
        }
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void doesNotTouchWhatWasPassedToAnotherProcess() throws Exception {
        Map<String, String> environment = Map.of(
                "NOTIFY_SOCKET", directory.resolve("notify").toString(),
                "LISTEN_PID", "1",
                "LISTEN_FDS", "1",
                "LISTEN_FDNAMES", "guest-web01");

        try (DescriptorStore store = DescriptorStore.of(environment, vmm.tracking.fd())) {
            assertThat(store.guestsNotBack()).isEmpty();
        }
        assertThat(Libc.dup(vmm.tracking.fd())).isPositive();
    }

    @Test
    void withoutAManagerNothingIsKept() throws Exception {
        try (DescriptorStore store = DescriptorStore.of(Map.of())) {
            store.keep("web01", vmm.descriptors());
            store.forget("web01");
        }
    }

    @Test
    void aManagerThatIsGoneCostsOnlyTheCopy() throws Exception {
        try (DescriptorStore store = DescriptorStore.of(environment())) {
            manager.close();
            store.keep("web01", vmm.descriptors());
        }
    }
}
