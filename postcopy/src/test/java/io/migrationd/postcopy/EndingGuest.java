package io.migrationd.postcopy;

import static java.nio.charset.StandardCharsets.UTF_8;

import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.GuestRange;
import io.migrationd.postcopy.memory.SharedMapping;
import io.migrationd.postcopy.os.ForeignDescriptor;
import io.migrationd.postcopy.os.Userfaultfd;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.file.Path;
import java.util.List;

/** A guest in a process of its own, which does nothing until its standard input ends, and then ends, too. */
record EndingGuest(Process process, FdRamBlock ram, GuestRange range, Userfaultfd userfaultfd, IncomingBlock block)
        implements AutoCloseable {
    private static final int PAGES = 4;

    public static void main(String[] arguments) throws IOException {
        PrintStream out = new PrintStream(System.out, true, UTF_8);
        try (FdRamBlock ram = FdRamBlock.createMemory(PagedGuest.NAME, (long) PAGES * PagedGuest.PAGE);
                SharedMapping mapping = SharedMapping.of(ram);
                Userfaultfd userfaultfd = Userfaultfd.open()) {
            userfaultfd.api(PagedGuest.FEATURES);
            userfaultfd.register(mapping.segment().address(), ram.lengthBytes(), Userfaultfd.REGISTER_WP);
            out.println(
                    ram.fd() + " " + userfaultfd.fd() + " " + mapping.segment().address());
            while (System.in.read() >= 0) {
                // Nothing is said to it.
            }
        }
    }

    static EndingGuest start() throws IOException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "--enable-native-access=ALL-UNNAMED",
                        "-cp",
                        System.getProperty("java.class.path"),
                        EndingGuest.class.getName())
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        BufferedReader out = new BufferedReader(new InputStreamReader(process.getInputStream(), UTF_8));
        String[] hello = out.readLine().split(" ", -1);
        long length = (long) PAGES * PagedGuest.PAGE;
        FdRamBlock ram = FdRamBlock.adopt(
                PagedGuest.NAME, ForeignDescriptor.of(process.pid(), Integer.parseInt(hello[0])), 0, length);
        Userfaultfd userfaultfd = Userfaultfd.adopt(ForeignDescriptor.of(process.pid(), Integer.parseInt(hello[1])));
        GuestRange range = new GuestRange(PagedGuest.NAME, Long.parseLong(hello[2]), length);
        return new EndingGuest(process, ram, range, userfaultfd, new IncomingBlock(ram, PagedGuest.PAGE));
    }

    UffdIncomingMemory memory() {
        return UffdIncomingMemory.of("9", List.of(block), List.of(range), userfaultfd);
    }

    void end() throws IOException, InterruptedException {
        process.getOutputStream().close();
        process.waitFor();
    }

    @Override
    public void close() {
        process.destroyForcibly();
        userfaultfd.close();
        ram.close();
    }
}
