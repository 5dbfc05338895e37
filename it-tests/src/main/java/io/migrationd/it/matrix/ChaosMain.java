package io.migrationd.it.matrix;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.InstantSource;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code bin/chaos}: moves guests over links that break at random. */
@Command(
        name = "chaos",
        mixinStandardHelpOptions = true,
        usageHelpAutoWidth = true,
        description =
                "Moves guests between two daemons by postcopy over links that break at random, and kills daemons. "
                        + "Exit code 0 if every guest ran once and lost nothing, 1 if not.")
public final class ChaosMain implements Callable<Integer> {
    @Option(names = "--seed", description = "Seed of all schedules; the same one gives the same schedules.")
    private @Nullable Long seed;

    @Option(names = "--rounds", defaultValue = "200", description = "Migrations (${DEFAULT-VALUE}).")
    private int rounds;

    @Option(names = "--lanes", defaultValue = "2", description = "Migrations at a time (${DEFAULT-VALUE}).")
    private int lanes;

    @Option(names = "--round-seed", description = "Repeats the one round that had this seed, --rounds times.")
    private @Nullable Long roundSeed;

    @Option(names = "--folder", description = "For logs and state; a new temporary one if not given.")
    private @Nullable Path folder;

    @Spec
    private CommandSpec spec = CommandSpec.create();

    private ChaosMain() {}

    /** Runs and ends the process. */
    public static void main(String[] arguments) {
        System.exit(new CommandLine(new ChaosMain()).execute(arguments));
    }

    @Override
    public Integer call() throws IOException {
        var out = spec.commandLine().getOut();
        Path place = folder == null ? Files.createTempDirectory("chaos") : Files.createDirectories(folder);
        long start = seed == null ? InstantSource.system().millis() : seed;
        out.printf("postcopy chaos: seed %d, files in %s%n", start, place);
        out.flush();
        Consumer<String> say = line -> {
            out.println(line);
            out.flush();
        };
        ChaosRun.Summary summary = roundSeed == null
                ? ChaosRun.run(start, rounds, lanes, place, say)
                : ChaosRun.run(
                        start,
                        LongStream.generate(() -> roundSeed).limit(rounds).toArray(),
                        lanes,
                        place,
                        say);
        out.println(summary);
        out.flush();
        return summary.bad().isEmpty() ? 0 : 1;
    }
}
