package io.migrationd.it.bench;

import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * QEMU to QEMU, one channel, no cap, with return path. The guests stand still; the source's RAM is the prepared file,
 * mapped shared. Each copy starts two new processes, since a QEMU sends its guest once.
 */
final class QemuPair implements Contender {
    /** Never run: the guests stand still. */
    private static final int FIRMWARE_BYTES = 64 << 10;

    private static final long NO_CAP = 1L << 40;

    private final String program;
    private final Path folder;
    private final Path ram;
    private final Memory memory;
    private final Path firmware;

    /** What holds the RAM at the destination. */
    enum Memory {
        /** A memfd, as a process guest of our daemon has. */
        SHARED("qemu", "memory-backend-memfd,share=on"),
        /** Private memory, which may come in huge pages. */
        ANONYMOUS("qemu-anonymous", "memory-backend-ram");

        private final String contender;
        private final String backend;

        Memory(String contender, String backend) {
            this.contender = contender;
            this.backend = backend;
        }
    }

    QemuPair(QemuBinary binary, Path folder, Path ram, Memory memory) throws IOException {
        this.program =
                binary.path().orElseThrow(() -> new IOException(binary.hint())).toString();
        this.folder = folder;
        this.ram = ram;
        this.memory = memory;
        this.firmware = Files.write(folder.resolve(memory.contender + ".bios"), new byte[FIRMWARE_BYTES]);
    }

    @Override
    public String name() {
        return memory.contender;
    }

    @Override
    public Sample run() throws Exception {
        long lengthBytes = Files.size(ram);
        String filled = "memory-backend-file,share=on,mem-path=%s,id=m0,size=%d".formatted(ram, lengthBytes);
        String empty = "%s,id=m0,size=%d".formatted(memory.backend, lengthBytes);
        try (MeasuredProcess source = start("a", filled, lengthBytes, List.of());
                MeasuredProcess destination = start("b", empty, lengthBytes, List.of("-incoming", "defer"));
                QmpClient sourceQmp = source.connectQmp(socket("a"));
                QmpClient destinationQmp = destination.connectQmp(socket("b"))) {
            MigrationControl sending = MigrationControl.of(sourceQmp);
            MigrationControl receiving = MigrationControl.of(destinationQmp);
            sending.enable("events", "return-path");
            receiving.enable("events", "return-path");
            sending.set(Map.of("max-bandwidth", NO_CAP));
            return new Move(sending, sourceQmp, source, receiving, destinationQmp, destination).measure();
        }
    }

    private Path socket(String side) {
        return folder.resolve(name() + "-" + side + ".qmp");
    }

    private MeasuredProcess start(String side, String backend, long lengthBytes, List<String> mode) throws IOException {
        Files.deleteIfExists(socket(side));
        List<String> command = new ArrayList<>(List.of(program, "-accel", "tcg", "-nodefaults", "-display", "none"));
        command.addAll(List.of("-object", backend, "-machine", "pc,memory-backend=m0", "-m", lengthBytes + "B"));
        command.addAll(List.of("-bios", firmware.toString(), "-S"));
        command.addAll(List.of("-qmp", "unix:" + socket(side) + ",server=on,wait=off"));
        command.addAll(mode);
        return MeasuredProcess.start(name() + "-" + side, folder, command, Map.of());
    }

    @Override
    public void close() {
        // Both processes end with each copy.
    }
}
