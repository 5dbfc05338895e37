package io.migrationd.it.bench;

import java.util.concurrent.Callable;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** JMH over the page codec, with its GC profiler: {@code gc.alloc.rate.norm} is bytes allocated per page. */
@Command(
        name = "codec",
        mixinStandardHelpOptions = true,
        usageHelpAutoWidth = true,
        description = "Time and allocation per page of the page codec, by JMH.")
final class CodecCommand implements Callable<Integer> {
    @Option(names = "--iterations", defaultValue = "3", description = "Of one second. Default: ${DEFAULT-VALUE}.")
    private int iterations;

    @Parameters(arity = "0..1", defaultValue = ".*", description = "Which benchmarks. Default: all.")
    private String pattern = ".*";

    @Override
    public Integer call() throws RunnerException {
        new Runner(new OptionsBuilder()
                        .include(PageCodecBenchmark.class.getName().replace(".", "\\.") + "\\." + pattern)
                        .addProfiler(GCProfiler.class)
                        .forks(1)
                        .warmupIterations(iterations)
                        .warmupTime(TimeValue.seconds(1))
                        .measurementIterations(iterations)
                        .measurementTime(TimeValue.seconds(1))
                        .shouldFailOnError(true)
                        .build())
                .run();
        return 0;
    }
}
