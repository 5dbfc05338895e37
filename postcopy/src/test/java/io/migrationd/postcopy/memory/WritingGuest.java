package io.migrationd.postcopy.memory;

import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.List;

/** A process of its own whose memory is tracked: it writes the pages whose numbers come on its standard input. */
final class WritingGuest {
    private static final int PAGE = 4096;

    private WritingGuest() {}

    public static void main(String[] arguments) throws IOException {
        PrintStream out = new PrintStream(System.out, true, UTF_8);
        try (FdRamBlock block = FdRamBlock.createMemory("ram", Long.parseLong(arguments[0]));
                SharedMapping mapping = SharedMapping.of(block);
                WriteTracking _ = WriteTracking.of(List.of(mapping));
                BufferedReader in = new BufferedReader(new InputStreamReader(System.in, UTF_8))) {
            out.println(block.fd() + " " + mapping.segment().address());
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                mapping.segment().set(JAVA_LONG, Long.parseLong(line) * PAGE, 1);
                out.println("written " + line);
            }
        }
    }
}
