package io.migrationd.migrationd.sample;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.process.GuestHello;
import io.migrationd.migrationd.guest.process.GuestMode;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** The guest itself: RAM, workers and where it stands. Its methods are called by one thread, {@link #report} by any. */
final class SampleMachine implements AutoCloseable {
    private static final int TARGET_PAGE_BYTES = PageImage.PAGE_BYTES;
    private static final long STOP_DEADLINE_MILLIS = 5000;

    private final SampleOptions options;
    private final SampleMemory memory;
    private final Gate gate;
    private final Findings findings = new Findings();
    private final List<Worker> workers = new ArrayList<>();
    private volatile State state;
    private volatile long runningSinceMillis;

    private enum State {
        RUNNING(GuestMode.RUNNING),
        PAUSED(GuestMode.PAUSED),
        INCOMING(GuestMode.INCOMING),
        /** Device state is there, and may still be discarded. */
        LOADED(GuestMode.INCOMING),
        RELEASED(GuestMode.RELEASED);

        private final GuestMode mode;

        State(GuestMode mode) {
            this.mode = mode;
        }
    }

    /** The request does not fit the guest's state, or its content does not fit the guest. */
    static final class RefusedException extends Exception {
        RefusedException(String reason) {
            super(reason);
        }
    }

    /** The guest runs from now on, unless it waits for a migration. */
    SampleMachine(SampleOptions options) throws ErrnoException {
        this.options = options;
        this.memory = new SampleMemory(options.ramBytes(), options.blocks(), options.hugePages());
        this.gate = new Gate(options.threads());
        for (int i = 0; i < options.threads(); i++) {
            workers.add(new Worker(i, memory, gate, options, findings));
        }
        workers.forEach(Worker::start);
        this.state = options.incoming() ? State.INCOMING : State.PAUSED;
        if (state == State.PAUSED) {
            open();
        }
    }

    GuestMode mode() {
        return state.mode;
    }

    /** How it introduces itself now. What was loaded and not run is forgotten by a new connection. */
    GuestHello hello() {
        if (state == State.LOADED) {
            state = State.INCOMING;
        }
        return new GuestHello(
                options.name(),
                options.uuid(),
                ProcessHandle.current().pid(),
                options.machineType(),
                TARGET_PAGE_BYTES,
                mode(),
                memory.descriptors().size(),
                memory.regions(),
                devices(),
                true);
    }

    /** What goes with the hello. */
    List<Integer> descriptors() {
        return memory.descriptors();
    }

    private List<JsonNode> devices() {
        List<JsonNode> devices = new ArrayList<>();
        for (int i = 0; i < workers.size(); i++) {
            ObjectNode device = JsonNodeFactory.instance.objectNode();
            device.put("name", WorkerState.IDSTR).put("instance-id", i).put("version", WorkerState.VERSION);
            ArrayNode fields = device.putArray("fields");
            for (String name : WorkerState.FIELDS) {
                fields.addObject().put("name", name).put("type", "uint64");
            }
            fields.addObject()
                    .put("name", "chunk_digests")
                    .put("type", "uint64")
                    .put("array-len", workers.get(i).chunkCount());
            devices.add(device);
        }
        return devices;
    }

    void stop() throws RefusedException, InterruptedException {
        require("stop", State.RUNNING, State.PAUSED);
        if (state == State.RUNNING) {
            closeGate();
            state = State.PAUSED;
        }
    }

    void resume() throws RefusedException {
        require("resume", State.PAUSED, State.RUNNING);
        if (state == State.PAUSED) {
            open();
        }
    }

    List<DeviceSection> save() throws RefusedException {
        require("save", State.PAUSED);
        List<DeviceSection> sections = new ArrayList<>();
        for (int i = 0; i < workers.size(); i++) {
            byte[] body = workers.get(i).state().encode();
            sections.add(new DeviceSection(WorkerState.IDSTR, i, WorkerState.VERSION, body, null));
        }
        return sections;
    }

    /** Looks at no memory: that may not be there yet. Each worker looks at its own when it runs. */
    void load(List<DeviceSection> sections) throws RefusedException, InterruptedException {
        require("load", State.INCOMING);
        List<WorkerState> states = new ArrayList<>();
        for (int i = 0; i < workers.size(); i++) {
            states.add(decode(sections, i));
        }
        closeGate();
        findings.clear();
        for (int i = 0; i < workers.size(); i++) {
            workers.get(i).become(states.get(i));
        }
        state = State.LOADED;
    }

    private WorkerState decode(List<DeviceSection> sections, int instance) throws RefusedException {
        DeviceSection section = sections.stream()
                .filter(s -> s.idstr().equals(WorkerState.IDSTR) && s.instanceId() == instance)
                .findFirst()
                .orElseThrow(() -> new RefusedException("no section of worker " + instance));
        try {
            return workers.get(instance).state().decode(section.body());
        } catch (ProtocolException e) {
            throw new RefusedException("worker %d: %s".formatted(instance, e.getMessage()));
        }
    }

    void run(boolean start) throws RefusedException {
        require("run", State.LOADED);
        state = State.PAUSED;
        if (start) {
            open();
        }
    }

    void discard() throws RefusedException {
        require("discard", State.INCOMING, State.LOADED);
        findings.clear();
        state = State.INCOMING;
    }

    void release() throws RefusedException, InterruptedException {
        require("release", State.RUNNING, State.PAUSED, State.RELEASED);
        if (state == State.RUNNING) {
            stop();
        }
        state = State.RELEASED;
    }

    private void closeGate() throws RefusedException, InterruptedException {
        if (!gate.close(STOP_DEADLINE_MILLIS)) {
            throw new RefusedException(
                    "a worker did not come to rest within %d ms: it waits for memory".formatted(STOP_DEADLINE_MILLIS));
        }
    }

    private void open() {
        runningSinceMillis = System.currentTimeMillis();
        state = State.RUNNING;
        gate.open();
    }

    private void require(String verb, State... allowed) throws RefusedException {
        if (!List.of(allowed).contains(state)) {
            throw new RefusedException("%s is not possible while %s".formatted(verb, state));
        }
    }

    /** Whether every page has been verified since the guest began to run here. */
    boolean isVerified() {
        return workers.stream().allMatch(worker -> worker.sweeps() > 0);
    }

    /** For people and tests; see docs/guest-protocol.md. */
    Map<String, Object> report() {
        workers.forEach(worker -> worker.failure().ifPresent(findings::add));
        Map<String, Object> report = new LinkedHashMap<>();
        report.put("violations", findings.count());
        report.put("first-violations", findings.first());
        report.put("verified", isVerified());
        report.put("pages", memory.pageCount());
        report.put(
                "pages-verified",
                workers.stream().mapToLong(Worker::verifiedPages).sum());
        report.put("sweeps", workers.stream().mapToLong(Worker::sweeps).min().orElse(0));
        report.put("operations", workers.stream().mapToLong(Worker::operations).sum());
        report.put(
                "digest",
                "%016x"
                        .formatted(workers.stream()
                                .mapToLong(Worker::logDigest)
                                .reduce(0, (a, b) -> PageImage.scramble(a) ^ b)));
        report.put(
                "first-touch",
                TouchTimes.report(workers.stream().map(Worker::touchTimes).toList()));
        report.put("mode", mode().jsonName());
        report.put("running-since-millis", runningSinceMillis);
        return report;
    }

    @Override
    public void close() {
        gate.end();
        workers.forEach(Worker::close);
        memory.close();
    }
}
