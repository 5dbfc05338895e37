package io.migrationd.migrationd.cli;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** What one command line did. */
record CommandRun(int exitCode, String out, String err) {
    /** Without a terminal. */
    static CommandRun of(Path socket, String... arguments) {
        return of(false, 80, socket, arguments);
    }

    static CommandRun of(boolean interactive, int columns, Path socket, String... arguments) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayOutputStream err = new ByteArrayOutputStream();
        Terminal terminal = new Terminal(
                new PrintStream(out, true, StandardCharsets.UTF_8),
                new PrintStream(err, true, StandardCharsets.UTF_8),
                interactive,
                columns,
                Duration.ofMillis(1));
        List<String> line = new ArrayList<>(List.of(arguments));
        line.add("--socket");
        line.add(socket.toString());
        int exitCode = MigrationctlMain.run(terminal, line.toArray(String[]::new));
        return new CommandRun(exitCode, out.toString(StandardCharsets.UTF_8), err.toString(StandardCharsets.UTF_8));
    }
}
