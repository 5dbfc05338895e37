package io.migrationd.migrationd.guest.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest.IncomingGuest;
import io.migrationd.migrationd.guest.Guest.IncomingState;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.PageRequester;
import io.migrationd.postcopy.memory.HostFeature;
import io.migrationd.postcopy.memory.HostFeatures;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.NativeCopy;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/** A process guest arrives by postcopy: its vCPU waits for pages in this very process, in native code. */
@Timeout(60)
class ProcessGuestPostcopyTest {
    private static final int PAGE = 4096;
    private static final Duration SOON = Duration.ofSeconds(10);
    private static final GuestListener.Limits LIMITS =
            new GuestListener.Limits(4, Duration.ofSeconds(5), Duration.ofSeconds(2));
    private static final IncomingState RUNNING = new IncomingState("running", Optional.empty(), PAGE, "");
    private static final List<DeviceSection> DEVICES =
            List.of(new DeviceSection("uart", 0, 2, new byte[] {2, 'a', 'b'}, null));

    private final Arena arena = Arena.ofShared();
    private final Queue<String> asked = new ConcurrentLinkedQueue<>();
    private final PageRequester requester =
            (block, start, lengthBytes) -> asked.add("%s %d+%d".formatted(block, start, lengthBytes));
    private FakeVmm vmm;
    private Path socket;
    private GuestListener listener;

    @BeforeEach
    void listen(@TempDir Path directory) throws Exception {
        List<String> missing = HostFeatures.probe().missing(Set.of(HostFeature.WP_ASYNC, HostFeature.MISSING_SHMEM));
        Assumptions.assumeTrue(missing.isEmpty(), () -> String.join(" ", missing));
        socket = directory.resolve("guests.sock");
        vmm = new FakeVmm();
        listener = GuestListener.open(socket, new RecordingRegistry(), LIMITS);
    }

    @AfterEach
    void close() throws Exception {
        if (listener != null) {
            listener.close();
            vmm.close(); // The last copy of its userfaultfd: whoever still waits reads zeroes and ends.
        }
    }

    private ProcessGuest guest() {
        return listener.guests().getFirst();
    }

    private ScriptedVmm attach(GuestMode mode) throws Exception {
        ScriptedVmm attached = ScriptedVmm.attach(vmm, socket, mode);
        await().atMost(SOON).until(() -> guest().isAttached());
        return attached;
    }

    /** Reads the first word of a page as a vCPU would. */
    private CompletableFuture<Long> touch(int block, long page) {
        MemorySegment to = arena.allocate(ValueLayout.JAVA_LONG);
        MemorySegment from = vmm.mappings.get(block).segment();
        CompletableFuture<Long> value = new CompletableFuture<>();
        Thread.ofPlatform().daemon().name("vcpu").start(() -> {
            NativeCopy.copy(from, page * PAGE, to, 0, Long.BYTES);
            value.complete(to.get(ValueLayout.JAVA_LONG, 0));
        });
        return value;
    }

    private MemorySegment page(long value) {
        MemorySegment page = arena.allocate(PAGE, PAGE);
        page.set(ValueLayout.JAVA_LONG, 0, value);
        return page;
    }

    private IncomingMemory listening(IncomingGuest incoming) throws Exception {
        incoming.machineType("vmm-1.0", 0);
        incoming.advisePostcopy();
        List<IncomingBlock> blocks = guest().ram().stream()
                .map(block -> new IncomingBlock(announced(incoming, block), PAGE))
                .toList();
        IncomingMemory memory = incoming.listen("7", blocks);
        memory.start(requester);
        return memory;
    }

    private static RamBlock announced(IncomingGuest incoming, RamBlock block) {
        try {
            return incoming.block(block.name(), block.lengthBytes(), block.pageSizeBytes(), 0);
        } catch (Exception e) {
            throw new AssertionError(e);
        }
    }

    private void placeAll(IncomingMemory memory) throws Exception {
        for (IncomingBlock block : memory.blocks()) {
            for (long offset = 0; offset < block.ram().lengthBytes(); offset += PAGE) {
                memory.placeZero(block, offset);
            }
        }
    }

    private static long now(CompletableFuture<Long> value) throws Exception {
        return value.get(10, TimeUnit.SECONDS);
    }

    @Test
    void runsWhileItsMemoryIsMissing() throws Exception {
        try (ScriptedVmm scripted = attach(GuestMode.INCOMING)) {
            IncomingGuest incoming = guest().beginIncoming();
            try (IncomingMemory memory = listening(incoming)) {
                incoming.run(DEVICES, RUNNING);
                assertThat(guest().runState()).isEqualTo(RunState.RUNNING);
                assertThat(incoming.mayRun()).isTrue();
                assertThat(scripted.heard()).containsExactly(GuestVerb.LOAD, GuestVerb.RUN);

                CompletableFuture<Long> vcpu = touch(1, 5);
                await().atMost(SOON).until(() -> asked.contains("vmm.rom 20480+4096"));
                assertThat(vcpu).isNotDone();
                memory.place(memory.block("vmm.rom").orElseThrow(), 5 * PAGE, page(4711), 0);
                assertThat(now(vcpu)).isEqualTo(4711);

                placeAll(memory);
                memory.finish();
                guest().completeIncoming();
                assertThat(asked).hasSize(1);
            }
        }
    }

    @Test
    void staysPausedIfTheSourceWas() throws Exception {
        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            IncomingGuest incoming = guest().beginIncoming();
            try (IncomingMemory _ = listening(incoming)) {
                incoming.run(DEVICES, new IncomingState("paused", Optional.empty(), PAGE, ""));
            }

            assertThat(guest().runState()).isEqualTo(RunState.PAUSED);
        }
    }

    @Test
    void isRefusedWithoutThePromise() throws Exception {
        vmm.postcopy = false;
        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            assertThatThrownBy(guest().beginIncoming()::advisePostcopy)
                    .isInstanceOf(GuestException.class)
                    .hasMessage("guest web01 cannot arrive by postcopy: its VMM does not say \"postcopy\": true in its"
                            + " hello, so it may not be able to wait for memory that has not arrived");
        }
    }

    @Test
    void listensOnlyWhenTheStreamHasAllOfItsMemory() throws Exception {
        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            IncomingGuest incoming = guest().beginIncoming();
            RamBlock ram = announced(incoming, guest().ram().getFirst());

            assertThatThrownBy(() -> incoming.listen("7", List.of(new IncomingBlock(ram, PAGE))))
                    .isInstanceOf(GuestException.class)
                    .hasMessage("guest web01 has RAM that the stream does not: [vmm.rom]");
            assertThatThrownBy(() -> incoming.run(DEVICES, RUNNING)).isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void theMemoryGoesOnWhenTheVmmConnectsAgain() throws Exception {
        IncomingMemory memory;
        ProcessGuest guest;
        CompletableFuture<Long> vcpu;
        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            guest = guest();
            IncomingGuest incoming = guest.beginIncoming();
            memory = listening(incoming);
            incoming.run(DEVICES, RUNNING);
            vcpu = touch(0, 3);
            await().atMost(SOON).until(() -> asked.contains("vmm.ram 12288+4096"));
        }
        await().atMost(SOON).until(() -> guest.runState() == RunState.SHUTDOWN);

        try (ScriptedVmm _ = attach(GuestMode.RUNNING);
                memory) {
            assertThat(guest()).isSameAs(guest);
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
            memory.place(memory.block("vmm.ram").orElseThrow(), 3 * PAGE, page(4711), 0);
            assertThat(now(vcpu)).isEqualTo(4711);
            CompletableFuture<Long> next = touch(0, 4);
            await().atMost(SOON).until(() -> asked.contains("vmm.ram 16384+4096"));
            memory.placeZero(memory.block("vmm.ram").orElseThrow(), 4 * PAGE);
            assertThat(now(next)).isZero();
        }
    }

    @Test
    void loadsAgainWhenTheConnectionBreaksBeforeTheRun() throws Exception {
        try (ScriptedVmm first = ScriptedVmm.attach(vmm, socket, GuestMode.INCOMING, GuestVerb.RUN::equals)) {
            await().atMost(SOON).until(() -> guest().isAttached());
            IncomingGuest incoming = guest().beginIncoming();
            try (IncomingMemory _ = listening(incoming)) {
                incoming.prepare(DEVICES);
                CompletableFuture<Void> run = running(incoming);
                first.awaitEnd();

                try (ScriptedVmm second = ScriptedVmm.attach(vmm, socket, GuestMode.INCOMING)) {
                    run.get(10, TimeUnit.SECONDS);
                    assertThat(second.heard()).containsExactly(GuestVerb.LOAD, GuestVerb.RUN);
                    assertThat(guest().runState()).isEqualTo(RunState.RUNNING);
                }
            }
        }
    }

    @Test
    void aRunWhoseReplyWasLostIsNotSentAgain() throws Exception {
        try (ScriptedVmm first = ScriptedVmm.attach(vmm, socket, GuestMode.INCOMING, GuestVerb.RUN::equals)) {
            await().atMost(SOON).until(() -> guest().isAttached());
            IncomingGuest incoming = guest().beginIncoming();
            try (IncomingMemory _ = listening(incoming)) {
                CompletableFuture<Void> run = running(incoming);
                first.awaitEnd();

                try (ScriptedVmm second = ScriptedVmm.attach(vmm, socket, GuestMode.RUNNING)) {
                    run.get(10, TimeUnit.SECONDS);
                    assertThat(second.heard()).isEmpty();
                    assertThat(guest().runState()).isEqualTo(RunState.RUNNING);
                }
            }
        }
    }

    private static CompletableFuture<Void> running(IncomingGuest incoming) {
        return CompletableFuture.runAsync(() -> {
            try {
                incoming.run(DEVICES, RUNNING);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
    }

    @Test
    void anAbortedPostcopyLeavesNoMissingPages() throws Exception {
        try (ScriptedVmm scripted = attach(GuestMode.INCOMING)) {
            IncomingGuest incoming = guest().beginIncoming();
            try (IncomingMemory memory = listening(incoming)) {
                memory.place(memory.blocks().getFirst(), 0, page(4711), 0);
            }

            incoming.abort();

            assertThat(now(touch(0, 0))).isZero();
            assertThat(now(touch(1, 9))).isZero();
            assertThat(asked).isEmpty();
            assertThat(scripted.heard()).containsExactly(GuestVerb.DISCARD);
            assertThat(guest().runState()).isEqualTo(RunState.INMIGRATE);
        }
    }

    @Test
    void aDeadDaemonsMissingPagesAreForgottenByTheNextMigration() throws Exception {
        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            listening(guest().beginIncoming()).close();
        }
        restartDaemon();

        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            IncomingGuest incoming = guest().beginIncoming();
            guest().ram().forEach(block -> announced(incoming, block));
            incoming.commit(DEVICES, RUNNING);

            assertThat(now(touch(0, 7))).isZero();
        }
    }

    private void restartDaemon() throws Exception {
        listener.close();
        listener = GuestListener.open(socket, new RecordingRegistry(), LIMITS);
    }

    @Test
    void aRestartedDaemonGoesOnWithWhatIsThere() throws Exception {
        CompletableFuture<Long> vcpu;
        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            IncomingGuest incoming = guest().beginIncoming();
            try (IncomingMemory memory = listening(incoming)) {
                incoming.run(DEVICES, RUNNING);
                memory.place(memory.blocks().getFirst(), 2 * PAGE, page(7), 0);
                vcpu = touch(0, 3);
                await().atMost(SOON).until(() -> asked.contains("vmm.ram 12288+4096"));
            }
        }
        restartDaemon();
        asked.clear();

        try (ScriptedVmm _ = attach(GuestMode.RUNNING);
                IncomingMemory memory = guest().reopenIncoming("8")) {
            IncomingBlock ram = memory.block("vmm.ram").orElseThrow();
            assertThat(ram.received().cardinality()).isEqualTo(1);
            assertThat(ram.received().get(2)).isTrue();
            assertThat(vcpu).isNotDone();
            memory.start(requester);
            await("the fault that the dead daemon had read is raised again")
                    .atMost(SOON)
                    .until(() -> asked.contains("vmm.ram 12288+4096"));
            memory.place(ram, 3 * PAGE, page(4711), 0);
            assertThat(now(vcpu)).isEqualTo(4711);
            placeAll(memory);
            memory.finish();
            assertThat(now(touch(0, 2))).isEqualTo(7);
        }
    }

    @Test
    void onlyAGuestThatRanCanBeReopened() throws Exception {
        try (ScriptedVmm _ = attach(GuestMode.INCOMING)) {
            assertThatThrownBy(() -> guest().reopenIncoming("8"))
                    .isInstanceOf(GuestException.class)
                    .hasMessage("guest web01 has run state inmigrate: its postcopy cannot go on here");
        }
        await().atMost(SOON).until(() -> !guest().isAttached());
        assertThatThrownBy(() -> guest().reopenIncoming("8")).hasMessage("guest web01: its process is gone");
    }

    @Test
    void aSourceFoundInPostcopyMayNotRun() throws Exception {
        try (ScriptedVmm scripted = attach(GuestMode.PAUSED)) {
            guest().stoppedByMigration();
            guest().stoppedByMigration();

            assertThat(guest().runState()).isEqualTo(RunState.FINISH_MIGRATE);
            assertThatThrownBy(guest()::continueRunning)
                    .hasMessage("guest web01 must not run here: its migration has stopped it for the last pass");
            guest().resumeAfterFailure();
            assertThat(guest().runState()).isEqualTo(RunState.RUNNING);
            assertThat(scripted.heard()).containsExactly(GuestVerb.RESUME);
        }
    }

    @Test
    void aSourceFoundInPostcopyThatRunsIsStopped() throws Exception {
        try (ScriptedVmm scripted = attach(GuestMode.RUNNING)) {
            guest().stoppedByMigration();

            await().atMost(SOON).until(() -> scripted.heard().contains(GuestVerb.STOP));
            assertThat(guest().runState()).isEqualTo(RunState.FINISH_MIGRATE);
        }
    }

    @Test
    void givesUpOnAVmmThatDoesNotComeBackWhenItWasLetGo() throws Exception {
        ProcessGuest guest;
        CompletableFuture<Void> run;
        try (ScriptedVmm first = ScriptedVmm.attach(vmm, socket, GuestMode.INCOMING, GuestVerb.RUN::equals)) {
            await().atMost(SOON).until(() -> guest().isAttached());
            guest = guest();
            IncomingGuest incoming = guest.beginIncoming();
            listening(incoming).close();
            run = running(incoming);
            first.awaitEnd();
        }
        await().atMost(SOON).until(() -> !guest.isAttached());
        listener.forget(guest);

        assertThatThrownBy(() -> run.get(10, TimeUnit.SECONDS))
                .isInstanceOf(ExecutionException.class)
                .hasStackTraceContaining("guest web01: its process is gone");
    }
}
