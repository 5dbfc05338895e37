package io.migrationd.it.bench;

import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QmpClient;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * A guest under TCG and its QEMUs, each run in a folder of its own: {@code source.*} and {@code target.*}.
 *
 * @param machine type of the machine, for both
 * @param allocated whether QEMU has all of the guest's memory from the kernel before it begins
 */
record RelayGuest(BootGuest shape, QemuBinary sourceQemu, QemuBinary targetQemu, String machine, boolean allocated) {
    private static final Duration DEADLINE = Duration.ofMinutes(2);

    /** What both QEMUs are started with. */
    private List<String> machineArguments(Path folder) throws IOException {
        Path firmware = folder.resolve("guest.bin");
        if (!Files.exists(firmware)) {
            Files.write(firmware, shape.firmware());
        }
        List<String> arguments = new ArrayList<>(List.of("-accel", "tcg", "-nodefaults", "-display", "none"));
        String memory =
                "memory-backend-ram,id=m0,size=%d,prealloc=%s".formatted(shape.memoryBytes(), allocated ? "on" : "off");
        arguments.addAll(List.of("-object", memory, "-machine", machine + ",memory-backend=m0"));
        arguments.addAll(shape.qemuArguments(firmware));
        return arguments;
    }

    /** The command of the QEMU of that role, with a socket for the bench and without {@code -S}. */
    List<String> command(QemuBinary binary, String role, Path folder) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                binary.path().orElseThrow(() -> new IOException(binary.hint())).toString()));
        command.addAll(machineArguments(folder));
        command.addAll(List.of("-serial", "file:" + serial(role, folder)));
        command.addAll(List.of("-qmp", "unix:" + socket(role, folder) + ",server=on,wait=off"));
        return command;
    }

    /** What has a destination's QEMU write down when a fault was asked for and when its page was placed. */
    static List<String> traceArguments(Path folder) {
        return List.of(
                "-trace",
                FaultTrace.REQUEST,
                "-trace",
                FaultTrace.PLACE,
                "-D",
                trace(folder).toString(),
                "-msg",
                "timestamp=on");
    }

    static Path trace(Path folder) {
        return folder.resolve("target.trace");
    }

    static Path serial(String role, Path folder) {
        return folder.resolve(role + ".serial");
    }

    static Path socket(String role, Path folder) {
        return folder.resolve(role + ".qmp");
    }

    /** Starts the source, whose guest stands still. */
    MeasuredProcess startSource(Path folder, List<String> more) throws IOException {
        List<String> command = command(sourceQemu, "source", folder);
        command.add("-S");
        command.addAll(more);
        return MeasuredProcess.start("source", folder, command, Map.of());
    }

    /** Lets the guest run until all its RAM is written; then it stands still, or goes on. */
    static void fill(QmpClient source, Path folder, boolean running) throws Exception {
        MigrationControl control = MigrationControl.of(source);
        control.enable("events");
        control.cont();
        SerialLog log = SerialLog.of(serial("source", folder));
        Await.until("a guest that has written its RAM", DEADLINE, () -> log.lastRound() >= 2, control::runState);
        if (!running) {
            control.stop();
        }
    }

    /** Whether the guest's words are whole; more of them must come at the target if it runs there. */
    static void verify(Path folder, boolean running) throws Exception {
        SerialLog log = SerialLog.of(serial("source", folder), serial("target", folder));
        if (running) {
            long seen = log.lastRound();
            Await.until("a guest that goes on", DEADLINE, () -> log.lastRound() > seen, log::damage);
        }
        if (!log.damage().isEmpty()) {
            throw new IOException("the guest found damage: " + log.damage());
        }
    }
}
