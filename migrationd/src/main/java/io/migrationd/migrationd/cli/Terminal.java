package io.migrationd.migrationd.cli;

import java.io.Console;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Map;
import java.util.Optional;

/**
 * Where a command writes. Results go to {@code out}, everything else to {@code err}.
 *
 * @param interactive whether a person looks at {@code err}, so that one line may be written again and again
 * @param columns how long that line may be
 * @param progressInterval how often progress is asked for and shown
 */
record Terminal(PrintStream out, PrintStream err, boolean interactive, int columns, Duration progressInterval) {
    private static final int USUAL_COLUMNS = 80;

    /** Of this process. */
    static Terminal ofProcess(Map<String, String> environment) {
        // Null on JDK 25 when nobody looks, an object that says so on 22 to 24.
        boolean interactive = Optional.ofNullable(System.console())
                        .filter(Console::isTerminal)
                        .isPresent()
                && !environment.getOrDefault("TERM", "dumb").equals("dumb");
        return new Terminal(
                System.out,
                System.err,
                interactive,
                columns(environment.getOrDefault("COLUMNS", "")),
                interactive ? Duration.ofMillis(200) : Duration.ofSeconds(1));
    }

    /** The launcher tells it; a shell does not export it. */
    private static int columns(String text) {
        return text.matches("[1-9][0-9]{0,3}") ? Integer.parseInt(text) : USUAL_COLUMNS;
    }

    /** {@code out} as picocli wants it. */
    PrintWriter outWriter() {
        return new PrintWriter(out, true, StandardCharsets.UTF_8);
    }

    /** {@code err} as picocli wants it. */
    PrintWriter errWriter() {
        return new PrintWriter(err, true, StandardCharsets.UTF_8);
    }
}
