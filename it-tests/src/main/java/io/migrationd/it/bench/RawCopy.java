package io.migrationd.it.bench;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** The raw copy of the file with the RAM, two processes. */
final class RawCopy implements Contender {
    private final Path folder;
    private final Path ram;
    private final boolean stores;

    /**
     * A copy of {@code ram}.
     *
     * @param stores whether the receiver writes the bytes to a file in memory or forgets them
     */
    RawCopy(Path folder, Path ram, boolean stores) {
        this.folder = folder;
        this.ram = ram;
        this.stores = stores;
    }

    @Override
    public String name() {
        return stores ? "raw-stored" : "raw";
    }

    @Override
    public Sample run() throws Exception {
        Path copy = folder.resolve("raw.copy");
        List<String> receive = new ArrayList<>(List.of("receive", Long.toString(Files.size(ram))));
        if (stores) {
            receive.add(copy.toString());
        }
        Files.deleteIfExists(folder.resolve("raw-receive.log"));
        Files.deleteIfExists(folder.resolve("raw-send.log"));
        try (MeasuredProcess receiver = MeasuredProcess.start("raw-receive", folder, java(receive), Map.of());
                MeasuredProcess sender = MeasuredProcess.start(
                        "raw-send",
                        folder,
                        java(List.of("send", receiver.awaitLine(RawCopyMain.PORT), ram.toString())),
                        Map.of())) {
            String[] sent = sender.awaitLine(RawCopyMain.RESULT).split(" ", -1);
            String[] received = receiver.awaitLine(RawCopyMain.RESULT).split(" ", -1);
            return new Sample(
                    Double.parseDouble(sent[0]),
                    Map.of("source", Double.parseDouble(sent[1]), "destination", Double.parseDouble(received[1])));
        } finally {
            Files.deleteIfExists(copy);
        }
    }

    private static List<String> java(List<String> arguments) throws IOException {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                RawCopyMain.class.getName()));
        command.addAll(arguments);
        return command;
    }

    @Override
    public void close() {
        // Both processes end with each copy.
    }
}
