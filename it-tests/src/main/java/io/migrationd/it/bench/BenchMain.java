package io.migrationd.it.bench;

import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** {@code bin/bench}: measures the daemon beside what it is compared with. */
@Command(
        name = "bench",
        mixinStandardHelpOptions = true,
        usageHelpAutoWidth = true,
        description = "Measures the daemon beside what it is compared with, in one run.",
        subcommands = {
            PrecopyCommand.class,
            PostcopyCommand.class,
            RelayCommand.class,
            CodecCommand.class,
            BenchMain.ListCommand.class
        })
public final class BenchMain {
    private BenchMain() {}

    /** Runs a benchmark and ends the process: 0 measured, 1 failed, 2 wrong usage. */
    public static void main(String[] arguments) {
        System.exit(new CommandLine(new BenchMain()).execute(arguments));
    }

    /** Names the benchmarks. */
    @Command(name = "list", mixinStandardHelpOptions = true, description = "Names the benchmarks.")
    static final class ListCommand implements Callable<Integer> {
        @Spec
        private CommandSpec spec = CommandSpec.create();

        @Override
        public Integer call() {
            spec.root().subcommands().forEach((name, command) -> {
                if (!name.equals(spec.name())) {
                    String[] description =
                            command.getCommandSpec().usageMessage().description();
                    spec.commandLine().getOut().printf("%-10s %s%n", name, String.join(" ", description));
                }
            });
            return 0;
        }
    }
}
