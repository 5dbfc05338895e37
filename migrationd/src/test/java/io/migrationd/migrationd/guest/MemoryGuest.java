package io.migrationd.migrationd.guest;

import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.PresentPages;
import io.migrationd.postcopy.StoredIncomingMemory;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.PageBitmap;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.SplittableRandom;
import java.util.UUID;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * A guest within the test's process: memfds, one device {@code cpu} of four bytes, and a thread that writes pages while
 * the guest runs. Its dirty log is exact, because writer and log share a lock. It notes what the engines ask of it.
 */
public final class MemoryGuest implements Guest, AutoCloseable {
    /** Bytes of a page. */
    public static final int PAGE = 4096;

    private String machineType = "test-1.0";

    /** What was asked, in order. */
    public final List<String> calls = new CopyOnWriteArrayList<>();

    private final String name;
    private final Map<String, FdRamBlock> blocks = new LinkedHashMap<>();
    private final Object memory = new Object();
    private final AtomicLong writes = new AtomicLong();
    private Optional<UUID> uuid = Optional.empty();
    private Step onOpenDirtyLog = () -> {};
    private Step onStop = () -> {};
    private Step onSaveDevices = () -> {};
    private Runnable onResume = () -> {};
    private volatile RunState runState = RunState.RUNNING;
    private volatile byte[] cpu = {1, 2, 3, 4};
    private int writtenPages;
    private volatile @Nullable Thread writer;
    // Guarded by memory.
    private final Map<String, PageBitmap> dirty = new LinkedHashMap<>();
    private final SplittableRandom random = new SplittableRandom(42);

    /** What a test does within a call of an engine. */
    @FunctionalInterface
    public interface Step {
        /** Runs on the engine's thread. */
        void run() throws GuestException;
    }

    /** A running guest without RAM. */
    public MemoryGuest(String name) {
        this.name = name;
    }

    /** With another machine type. */
    public MemoryGuest ofMachine(String type) {
        machineType = type;
        return this;
    }

    /** Adds a block, all hole. */
    public MemoryGuest with(String block, int pages) throws ErrnoException {
        blocks.put(block, FdRamBlock.createMemory(block, (long) pages * PAGE));
        dirty.put(block, new PageBitmap(pages));
        return this;
    }

    /** Waits for an incoming migration instead of running. */
    public MemoryGuest incoming() {
        runState = RunState.INMIGRATE;
        return this;
    }

    /** From now on nothing is there that could take it. */
    public void loseProcess() {
        runState = RunState.SHUTDOWN;
    }

    /** Was stopped by an operator. */
    public MemoryGuest paused() {
        runState = RunState.PAUSED;
        return this;
    }

    /** Sets its uuid. */
    public MemoryGuest uuid(UUID value) {
        uuid = Optional.of(value);
        return this;
    }

    /** Done when tracking of writes starts: still in setup. */
    public MemoryGuest onOpenDirtyLog(Step step) {
        onOpenDirtyLog = step;
        return this;
    }

    /** Done when the guest is to stop. */
    public MemoryGuest onStop(Step step) {
        onStop = step;
        return this;
    }

    /** Done when the device state is asked for, with the guest stopped. */
    public MemoryGuest onSaveDevices(Step step) {
        onSaveDevices = step;
        return this;
    }

    /** Done when the guest is to go on after a failure. */
    public MemoryGuest onResume(Runnable step) {
        onResume = step;
        return this;
    }

    /** Starts the thread that writes to the first {@code pages} pages of the first block until the guest stops. */
    public MemoryGuest startWriting(int pages) {
        writtenPages = pages;
        startWriter();
        return this;
    }

    /** Fills a page as the guest itself would. */
    public void write(String block, long page, int value) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(PAGE);
            bytes.fill((byte) value);
            store(block, page, bytes);
        }
    }

    /** Fills a block with bytes that do not repeat. */
    public void randomize(String block, long seed) throws ErrnoException {
        byte[] bytes = new byte[Math.toIntExact(block(block).lengthBytes())];
        new SplittableRandom(seed).nextBytes(bytes);
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment copy = arena.allocateFrom(ValueLayout.JAVA_BYTE, bytes);
            block(block).writePages(0, bytes.length / PAGE, PAGE, copy, 0, PAGE);
        }
    }

    /** What the block holds. */
    public byte[] contents(String block) throws ErrnoException {
        return contents(block(block));
    }

    /** What a block of any guest holds. */
    public static byte[] contents(RamBlock block) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(block.lengthBytes());
            block.readPages(0, Math.toIntExact(block.lengthBytes() / PAGE), PAGE, bytes, 0, PAGE);
            return bytes.toArray(ValueLayout.JAVA_BYTE);
        }
    }

    /** How often the guest has written a page. */
    public long writes() {
        return writes.get();
    }

    /** The device's state. */
    public byte[] cpu() {
        return cpu.clone();
    }

    private FdRamBlock block(String block) {
        return Objects.requireNonNull(blocks.get(block), block);
    }

    private void store(String block, long page, MemorySegment bytes) throws ErrnoException {
        synchronized (memory) {
            block(block).writePages(page * PAGE, 1, PAGE, bytes, 0, PAGE);
            Objects.requireNonNull(dirty.get(block)).set(page);
        }
        writes.incrementAndGet();
    }

    private void startWriter() {
        if (writtenPages == 0) {
            return;
        }
        Thread started = Thread.ofPlatform().name("guest-" + name).daemon().unstarted(this::keepWriting);
        writer = started;
        started.start();
    }

    private void keepWriting() {
        String block = blocks.keySet().iterator().next();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = arena.allocate(PAGE);
            while (writer == Thread.currentThread()) {
                // Few bytes of a page change, so that deltas are worth something; some pages become zero again.
                int page = random.nextInt(writtenPages);
                synchronized (memory) {
                    block(block).readPages((long) page * PAGE, 1, PAGE, bytes, 0, PAGE);
                }
                if (random.nextInt(16) == 0) {
                    bytes.fill((byte) 0);
                } else {
                    bytes.set(ValueLayout.JAVA_BYTE, random.nextInt(PAGE), (byte) random.nextInt());
                }
                store(block, page, bytes);
                // The log wants the memory's lock as well, and no lock here is fair.
                LockSupport.parkNanos(10_000);
            }
        } catch (ErrnoException e) {
            throw new AssertionError("the guest's memory can't be written", e);
        }
    }

    private void stopWriter() {
        Thread running = writer;
        writer = null;
        if (running != null) {
            try {
                running.join();
            } catch (InterruptedException e) {
                throw new AssertionError("interrupted while the guest stops", e);
            }
        }
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public GuestKind kind() {
        return GuestKind.PROCESS;
    }

    @Override
    public Optional<UUID> uuid() {
        return uuid;
    }

    @Override
    public Optional<String> machineType() {
        return Optional.of(machineType);
    }

    @Override
    public int targetPageSizeBytes() {
        return PAGE;
    }

    @Override
    public List<RamBlock> ram() {
        return List.copyOf(blocks.values());
    }

    @Override
    public RunState runState() {
        return runState;
    }

    @Override
    public RunState stateToAnnounce() {
        return calls.contains("stopped while running") ? RunState.RUNNING : RunState.PAUSED;
    }

    @Override
    public DirtyLog openDirtyLog() throws GuestException {
        calls.add("open dirty log");
        onOpenDirtyLog.run();
        return new ExactDirtyLog();
    }

    @Override
    public void stopForSwitchover() throws GuestException {
        onStop.run();
        if (runState == RunState.RUNNING) {
            calls.add("stopped while running");
            stopWriter();
            runState = RunState.FINISH_MIGRATE;
        }
    }

    @Override
    public void resumeAfterFailure() {
        calls.add("resume after failure");
        onResume.run();
        if (runState == RunState.FINISH_MIGRATE) {
            runState = RunState.RUNNING;
            startWriter();
        }
    }

    @Override
    public void releaseAfterMigration() {
        calls.add("release");
        runState = RunState.POSTMIGRATE;
    }

    @Override
    public List<DeviceSection> saveDevices() throws GuestException {
        onSaveDevices.run();
        return List.of(new DeviceSection("cpu", 0, 2, cpu.clone(), null));
    }

    @Override
    public IncomingMemory reopenIncoming(String session) throws IOException {
        List<IncomingBlock> present = new ArrayList<>();
        for (RamBlock block : ram()) {
            IncomingBlock incoming = new IncomingBlock(block, PAGE);
            PresentPages.mark(incoming);
            present.add(incoming);
        }
        return StoredIncomingMemory.of(present);
    }

    @Override
    public void completeIncoming() {
        calls.add("complete incoming");
    }

    @Override
    public IncomingGuest beginIncoming() {
        calls.add("begin incoming");
        return new Receiver();
    }

    @Override
    public void close() {
        stopWriter();
        blocks.values().forEach(FdRamBlock::close);
    }

    /** Knows every write, because it is told under the lock of the memory. */
    private final class ExactDirtyLog implements DirtyLog {
        private final List<String> seen = new ArrayList<>();

        @Override
        public long collect(RamBlock block, PageBitmap into) {
            synchronized (memory) {
                PageBitmap written = Objects.requireNonNull(dirty.get(block.name()));
                if (!seen.contains(block.name())) {
                    seen.add(block.name());
                    written.set(0, written.pageCount());
                }
                long before = into.cardinality();
                for (long page = written.nextSet(0); page < written.pageCount(); page = written.nextSet(page + 1)) {
                    into.set(page);
                }
                written.clear(0, written.pageCount());
                return into.cardinality() - before;
            }
        }

        @Override
        public void close() {
            calls.add("close dirty log");
        }
    }

    /** Takes a stream for this machine, these blocks and the one device. */
    private final class Receiver implements IncomingGuest {
        private boolean ended;

        @Override
        public void machineType(String received, long offset) throws ProtocolException {
            if (!"test-1.0".startsWith(received)) {
                throw new ProtocolException("configuration.machine-type", offset, "test-1.0", received);
            }
        }

        @Override
        public RamBlock block(String block, long lengthBytes, int pageSizeBytes, long offset) throws ProtocolException {
            FdRamBlock local = blocks.get(block);
            if (local == null || local.lengthBytes() != lengthBytes) {
                throw new ProtocolException(
                        "ram.blocks", offset, "a block of " + blocks.keySet(), block + " of " + lengthBytes);
            }
            return local;
        }

        @Override
        public Optional<List<DeviceFormat>> devices() {
            return Optional.of(List.of(new CpuFormat()));
        }

        @Override
        public void prepare(List<DeviceSection> sections) {
            // Its devices are whatever the test sends.
        }

        @Override
        public boolean mayRun() {
            return false;
        }

        @Override
        public void commit(List<DeviceSection> sections, IncomingState state) throws IOException {
            if (sections.size() != 1) {
                throw new GuestException("guest " + name + " needs one cpu, " + sections.size() + " came");
            }
            cpu = sections.getFirst().body();
            runState = state.runState().equals("running") ? RunState.RUNNING : RunState.PAUSED;
            ended = true;
            calls.add("commit");
        }

        @Override
        public void advisePostcopy() {
            calls.add("advise");
        }

        @Override
        public IncomingMemory listen(String session, List<IncomingBlock> incoming) {
            return StoredIncomingMemory.of(incoming);
        }

        @Override
        public void run(List<DeviceSection> sections, IncomingState state) throws IOException {
            commit(sections, state);
        }

        @Override
        public void abort() {
            if (ended) {
                return;
            }
            ended = true;
            calls.add("abort");
            for (FdRamBlock block : blocks.values()) {
                try {
                    block.punchHole(0, block.lengthBytes());
                } catch (ErrnoException e) {
                    throw new AssertionError("memory not emptied", e);
                }
            }
        }
    }

    /** Versions 2 and 3 of a device of four bytes. */
    private static final class CpuFormat implements DeviceFormat {
        @Override
        public String idstr() {
            return "cpu";
        }

        @Override
        public int instanceId() {
            return 0;
        }

        @Override
        public int version() {
            return 3;
        }

        @Override
        public int minimumVersion() {
            return 2;
        }

        @Override
        public byte[] readBody(StreamReader in, int version) throws IOException {
            return in.readBytes("cpu.state", 4, 4);
        }
    }

    @Override
    public String toString() {
        return "%s %s %s".formatted(name, runState, Arrays.toString(cpu));
    }
}
