package io.migrationd.it.bench;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The bare loop in C: src/main/c/fault-loop.c of this module. */
final class FaultLoop implements FaultContender {
    static final String IDLE = "bare-idle";
    static final String LOADED = "bare-loaded";

    private static final long PAGE_BYTES = 4096;
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Path program;
    private final Path folder;
    private final long ramBytes;
    private final long waits;
    private final boolean loaded;

    private FaultLoop(Path program, Path folder, long ramBytes, long waits, boolean loaded) {
        this.program = program;
        this.folder = folder;
        this.ramBytes = ramBytes;
        this.waits = waits;
        this.loaded = loaded;
    }

    /** Ends after {@code waits} faults; nothing but what is asked for passes. */
    static FaultLoop idle(Path program, Path folder, long ramBytes, long waits) {
        return new FaultLoop(program, folder, ramBytes, waits, false);
    }

    /** Ends when all pages have come over a second connection. */
    static FaultLoop loaded(Path program, Path folder, long ramBytes) {
        return new FaultLoop(program, folder, ramBytes, 0, true);
    }

    /** Compiles it into {@code folder}. */
    static Path compile(Path source, Path folder) throws IOException, InterruptedException {
        Path program = folder.resolve("fault-loop");
        Process compiler;
        try {
            compiler = new ProcessBuilder("cc", "-O2", "-pthread", "-o", program.toString(), source.toString())
                    .redirectErrorStream(true)
                    .start();
        } catch (IOException e) {
            throw new IOException("no C compiler (Debian package build-essential)", e);
        }
        String said = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (compiler.waitFor() != 0) {
            throw new IOException("cc failed (Debian package build-essential): " + said.strip());
        }
        return program;
    }

    @Override
    public String name() {
        return loaded ? LOADED : IDLE;
    }

    @Override
    public FaultSample run() throws Exception {
        Path log = folder.resolve(name() + ".log");
        Files.deleteIfExists(log);
        List<String> command =
                List.of(program.toString(), Long.toString(ramBytes >> 20), Long.toString(waits), loaded ? "1" : "0");
        try (MeasuredProcess process = MeasuredProcess.start(name(), folder, command, Map.of())) {
            JsonNode result = JSON.readTree("{" + process.awaitLine("{"));
            FaultTimes times = FaultTimes.of(result, "waits");
            return new FaultSample(
                    times,
                    Optional.empty(),
                    loaded ? ramBytes : times.waits() * PAGE_BYTES,
                    Map.of(
                            "source", result.path("source-cpu").asDouble(),
                            "destination", result.path("destination-cpu").asDouble()));
        }
    }
}
