package io.migrationd.it.matrix;

import io.migrationd.it.peer.JavaCommand;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** A {@link GuestFarmMain} in a process of its own. It ends with this JVM, whose pipe it reads. */
final class GuestFarm implements AutoCloseable {
    private static final long END_SECONDS = 10;

    private final Process process;
    private final BufferedWriter orders;

    private GuestFarm(Process process) {
        this.process = process;
        this.orders = new BufferedWriter(new OutputStreamWriter(process.getOutputStream(), StandardCharsets.UTF_8));
    }

    /** Its output goes to {@code farm.log} in {@code folder}. */
    static GuestFarm start(Path folder) throws IOException {
        return new GuestFarm(new ProcessBuilder(JavaCommand.ofGuest("256m", GuestFarmMain.class.getName()))
                .redirectErrorStream(true)
                .redirectOutput(folder.resolve("farm.log").toFile())
                .start());
    }

    /**
     * A guest that attaches to the daemon at {@code socket}. {@code key} names it here: both ends have one guest's
     * name.
     */
    void startGuest(String key, String name, Path socket, List<String> options) throws IOException {
        order("start %s --name %s --socket %s %s".formatted(key, name, socket, String.join(" ", options)));
    }

    /** Ends a guest, wherever it stands. */
    void endGuest(String key) throws IOException {
        order("end " + key);
    }

    private synchronized void order(String line) throws IOException {
        orders.write(line);
        orders.newLine();
        orders.flush();
    }

    @Override
    public void close() {
        process.destroyForcibly();
        try {
            if (!process.waitFor(END_SECONDS, TimeUnit.SECONDS)) {
                throw new IllegalStateException("SIGKILL did not end the guest farm, pid " + process.pid());
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
