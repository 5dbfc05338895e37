package io.migrationd.it.bench;

import io.migrationd.it.peer.QmpClient;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;

/** One daemon as it runs in production, but for its files, which lie in memory. */
final class DaemonHost implements AutoCloseable {
    private static final String DEFINITIONS = "guests.d";
    private static final Pattern COLLECTED = Pattern.compile("Pause .* (\\d+)M->");
    private static final Pattern USED = Pattern.compile("total \\d+K, used (\\d+)K");

    private final String name;
    private final Path folder;
    private final MeasuredProcess process;

    private DaemonHost(String name, Path folder, MeasuredProcess process) {
        this.name = name;
        this.folder = folder;
        this.process = process;
    }

    /** Starts a daemon by {@code launcher}, which is bin/migrationd. */
    static DaemonHost start(String name, Path folder, Path launcher) throws Exception {
        return start(name, folder, launcher, folder.resolve("state"), "");
    }

    /**
     * As the other.
     *
     * @param state where its journal lies
     * @param settings more of its configuration file
     */
    static DaemonHost start(String name, Path folder, Path launcher, Path state, String settings) throws Exception {
        Files.createDirectories(folder.resolve(DEFINITIONS));
        Path config = Files.writeString(folder.resolve("migrationd.toml"), """
                [paths]
                runtime = "%s"
                state = "%s"
                guest-definitions = "%s"

                [limits]
                max-parked-ram-bytes = %d

                [metrics]
                address = "off"

                %s
                """.formatted(
                        folder.resolve("run"), state, folder.resolve(DEFINITIONS), 1L << 40, settings));
        MeasuredProcess process = MeasuredProcess.start(
                name,
                folder,
                List.of(launcher.toString(), "serve", "--config", config.toString()),
                Map.of("JDK_JAVA_OPTIONS", "-Xlog:gc:file=" + folder.resolve("gc.log")));
        DaemonHost host = new DaemonHost(name, folder, process);
        try (QmpClient ready = host.connect()) {
            ready.execute("query-version");
            return host;
        } catch (Exception e) {
            process.close();
            throw e;
        }
    }

    /** A new client of the control socket, which has seen no events yet. */
    QmpClient connect() throws Exception {
        return process.connectQmp(folder.resolve("run/control.sock"));
    }

    /** A QEMU guest that this host knows. */
    void define(String guest, String definition) throws IOException {
        Files.writeString(folder.resolve(DEFINITIONS).resolve(guest + ".toml"), definition);
    }

    /** Where guests attach. */
    Path guestSocket() {
        return folder.resolve("run/guest.sock");
    }

    MeasuredProcess process() {
        return process;
    }

    String name() {
        return name;
    }

    /** The RAM file of a parked guest's only block. */
    Path ram(String guest) throws IOException {
        try (var files =
                Files.list(folder.resolve("state/parked").resolve(guest).resolve("ram"))) {
            return files.findFirst().orElseThrow(() -> new IOException("no RAM of guest " + guest));
        }
    }

    /** The most heap that was in use before a collection or is in use now, in MiB. */
    double heapMib() throws IOException, InterruptedException {
        double collected = matches(COLLECTED, Files.readString(folder.resolve("gc.log"))).stream()
                .mapToDouble(match -> Double.parseDouble(match.group(1)))
                .max()
                .orElse(0);
        Process jcmd = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(),
                        Long.toString(process.pid()),
                        "GC.heap_info")
                .redirectErrorStream(true)
                .start();
        String info = new String(jcmd.getInputStream().readAllBytes(), java.nio.charset.StandardCharsets.UTF_8);
        jcmd.waitFor();
        double now = matches(USED, info).stream()
                .mapToDouble(match -> Double.parseDouble(match.group(1)) / 1024)
                .sum();
        return Math.max(collected, now);
    }

    private static List<MatchResult> matches(Pattern pattern, String text) {
        return pattern.matcher(text).results().toList();
    }

    @Override
    public void close() {
        process.close();
    }
}
