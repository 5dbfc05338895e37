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
     * A program that lives for seconds or mostly waits: the second compiler would cost it more than it brings.
     *
     * @param heap as {@code -Xmx} has it
     */
    public static List<String> of(String heap, String mainClass, String... arguments) {
        List<String> command = ofGuest(heap, mainClass, arguments);
        command.add(1, "-XX:TieredStopAtLevel=1");
        return command;
    }

    /** A guest, which works all the time. */
    public static List<String> ofGuest(String heap, String mainClass, String... arguments) {
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-XX:+UseSerialGC",
                "-XX:+ExitOnOutOfMemoryError",
                "-Xmx" + heap,
                "-cp",
                System.getProperty("java.class.path"),
                mainClass));
        command.addAll(List.of(arguments));
        return command;
    }
}
