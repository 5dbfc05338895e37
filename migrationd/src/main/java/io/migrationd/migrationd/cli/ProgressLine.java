package io.migrationd.migrationd.cli;

/**
 * Shows how far something is: on a terminal one line that is written over, elsewhere a line whenever it says something
 * new. {@link #close()} leaves the terminal at the start of a fresh line.
 */
final class ProgressLine implements AutoCloseable {
    private static final String TO_START = "\r";
    private static final String CLEAR_REST = "\u001b[K";

    private final Terminal terminal;
    private String shown = "";

    ProgressLine(Terminal terminal) {
        this.terminal = terminal;
    }

    void show(String text) {
        String line = terminal.interactive() && text.length() >= terminal.columns()
                ? text.substring(0, terminal.columns() - 1)
                : text;
        if (line.equals(shown)) {
            return;
        }
        shown = line;
        if (terminal.interactive()) {
            terminal.err().print(TO_START + line + CLEAR_REST);
            terminal.err().flush();
        } else {
            terminal.err().println(line);
        }
    }

    /** A line of its own above the progress. */
    void note(String text) {
        close();
        terminal.err().println(text);
    }

    @Override
    public void close() {
        if (terminal.interactive() && !shown.isEmpty()) {
            terminal.err().println();
        }
        shown = "";
    }
}
