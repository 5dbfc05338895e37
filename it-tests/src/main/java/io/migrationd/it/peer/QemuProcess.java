package io.migrationd.it.peer;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeoutException;

/** A running QEMU: stopped at first, with its serial line in a file and QMP on a Unix socket. */
public final class QemuProcess implements AutoCloseable {
    private static final Duration START_DEADLINE = Duration.ofSeconds(20);

    private final Path folder;
    private final String name;
    private final ChildProcess process;
    private final QmpClient qmp;

    private QemuProcess(Path folder, String name, ChildProcess process, QmpClient qmp) {
        this.folder = folder;
        this.name = name;
        this.process = process;
        this.qmp = qmp;
    }

    /** Starts a QEMU whose guest stands still until {@code cont}. */
    public static QemuProcess start(QemuBinary binary, String name, QemuMachine machine, Path folder) throws Exception {
        return start(binary, name, machine.arguments(), folder);
    }

    /** As the other, with the machine as arguments of QEMU. */
    public static QemuProcess start(QemuBinary binary, String name, List<String> arguments, Path folder)
            throws Exception {
        return start(binary, name, arguments, folder, List.of("-S"));
    }

    /** Starts a QEMU that waits for {@code migrate-incoming}; its guest stands still also after that. */
    public static QemuProcess startIncoming(QemuBinary binary, String name, QemuMachine machine, Path folder)
            throws Exception {
        return startIncoming(binary, name, machine.arguments(), folder);
    }

    /** As the other, with the machine as arguments of QEMU. */
    public static QemuProcess startIncoming(QemuBinary binary, String name, List<String> arguments, Path folder)
            throws Exception {
        return start(binary, name, arguments, folder, List.of("-S", "-incoming", "defer"));
    }

    private static QemuProcess start(
            QemuBinary binary, String name, List<String> arguments, Path folder, List<String> mode) throws Exception {
        Path socket = folder.resolve(name + ".qmp");
        List<String> command = new ArrayList<>(List.of(binary.program(), "-name", name));
        command.addAll(arguments);
        command.addAll(List.of("-serial", "file:" + folder.resolve(name + ".serial")));
        command.addAll(List.of("-qmp", "unix:" + socket + ",server=on,wait=off"));
        command.addAll(mode);
        ChildProcess process = ChildProcess.start(name, folder, command);
        try {
            QmpClient qmp = QmpClient.connectWhenUp(name, socket, process, START_DEADLINE);
            MigrationControl.of(qmp).enable("events");
            return new QemuProcess(folder, name, process, qmp);
        } catch (Exception e) {
            process.close();
            throw e;
        }
    }

    /** Its QMP socket. */
    public QmpClient qmp() {
        return qmp;
    }

    /** Its migration verbs. */
    public MigrationControl migration() {
        return MigrationControl.of(qmp);
    }

    /** What its guest has printed. */
    public Path serial() {
        return folder.resolve(name + ".serial");
    }

    /**
     * Writes guest-physical memory to {@code NAME-LABEL.ram} in the folder of this QEMU. The guest should be stopped.
     */
    public Path saveMemory(String label, long guestPhysical, long lengthBytes)
            throws IOException, TimeoutException, InterruptedException {
        Path file = folder.resolve(name + "-" + label + ".ram");
        qmp.execute("pmemsave", Map.of("val", guestPhysical, "size", lengthBytes, "filename", file.toString()));
        return file;
    }

    /** The content of the guest's DIMM, which must be its only memory device. */
    public Path saveDimm(String label) throws IOException, TimeoutException, InterruptedException {
        JsonNode dimm = qmp.execute("query-memory-devices").path(0).path("data");
        return saveMemory(label, dimm.path("addr").asLong(), dimm.path("size").asLong());
    }

    /** Process state and standard error, for messages. */
    public String facts() {
        return process.facts();
    }

    /** Waits for the process to end by itself and returns its exit code. */
    public int awaitExit(Duration deadline) throws InterruptedException, TimeoutException {
        return process.awaitExit(deadline);
    }

    /** Waits for the process to end; false if it is still there after {@code deadline}. */
    public boolean hasEnded(Duration deadline) throws InterruptedException {
        return process.hasEnded(deadline);
    }

    /** Whether the process runs. */
    public boolean isAlive() {
        return process.isAlive();
    }

    /** Its process id. */
    public long pid() {
        return process.pid();
    }

    /** SIGKILL, as if its host had died. What its guest has printed stays. */
    public void kill() {
        close();
    }

    @Override
    public void close() {
        qmp.close();
        process.close();
    }
}
