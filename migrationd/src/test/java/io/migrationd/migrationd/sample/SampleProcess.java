package io.migrationd.migrationd.sample;

import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** A sample guest in a process of its own. */
final class SampleProcess implements AutoCloseable {
    private final Process process;

    SampleProcess(Path socket, String name, String... options) throws IOException {
        // Surefire starts us with a manifest jar and keeps the real path aside.
        String classPath = System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "-Xmx128m",
                "-XX:+UseSerialGC",
                "-cp",
                classPath,
                SampleGuestCommand.class.getName(),
                "--name",
                name,
                "--socket",
                socket.toString()));
        command.addAll(List.of(options));
        process = new ProcessBuilder(command)
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                .start();
    }

    Process process() {
        return process;
    }

    @Override
    public void close() {
        process.destroyForcibly().onExit().join();
    }
}
