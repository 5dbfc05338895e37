package io.migrationd.it.peer;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * Command lines of our own programs, from the class path of whoever starts them, with the options of the launchers in
 * bin/.
 */
public final class JavaCommand {
    private JavaCommand() {}

    /**
     * A command line.
     *
     * @param heap as {@code -Xmx} has it
     */
    public static List<String> of(String heap, String mainClass, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-XX:+UseSerialGC",
                "-XX:+ExitOnOutOfMemoryError",
                // The second compiler costs more than it brings to a process that lives for seconds.
                "-XX:TieredStopAtLevel=1",
                "-Xmx" + heap,
                "-cp",
                System.getProperty("java.class.path"),
                mainClass));
        command.addAll(List.of(arguments));
        return command;
    }
}
