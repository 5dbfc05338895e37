package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.Json;
import io.migrationd.migrationd.qmp.QmpException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code bin/demo}: moves a sample guest that writes all the time between two daemons, and has it check every page. */
@Command(
        name = "demo",
        mixinStandardHelpOptions = true,
        versionProvider = MigrationctlMain.Version.class,
        usageHelpAutoWidth = true,
        description = {
            "Starts two daemons on this machine and a sample guest that writes to its memory all the time, moves the",
            "guest from one daemon to the other while it runs, and has it check its pages. Everything is stopped and",
            "removed afterwards."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:the guest runs at the destination only and its pages are right",
            "1:anything else; the reasons and the ends of the logs are on standard error",
            "2:wrong usage",
            "3:this host cannot do it"
        })
public final class DemoMain implements Callable<Integer> {
    private final Terminal terminal;

    @Option(
            names = "--ram",
            paramLabel = "SIZE",
            defaultValue = "256M",
            converter = SizeConverter.class,
            description = "Memory of the guest. Default: ${DEFAULT-VALUE}.")
    private long ramBytes;

    @Option(
            names = "--rate",
            paramLabel = "N",
            description = "Writes per second of the guest. Default: 5000 for precopy, else 25000.")
    private @Nullable Long rate;

    @Option(
            names = "--pattern",
            paramLabel = "sequential|random|hot",
            defaultValue = "random",
            description = "Which pages it writes to. Default: ${DEFAULT-VALUE}.")
    private String pattern = "random";

    @Option(
            names = "--transport",
            paramLabel = "tcp|unix",
            defaultValue = "tcp",
            description = "What the stream goes over; recovery needs tcp. Default: ${DEFAULT-VALUE}.")
    private DemoTransport transport = DemoTransport.TCP;

    @Option(
            names = "--downtime-limit",
            paramLabel = "MS",
            defaultValue = "300",
            description = "How long the guest may stand still, in milliseconds. Default: ${DEFAULT-VALUE}.")
    private long downtimeLimitMillis;

    @Option(
            names = "--timeout",
            paramLabel = "SECONDS",
            defaultValue = "300",
            description = "How long the migration may take, or a part of it. Default: ${DEFAULT-VALUE}.")
    private long timeoutSeconds;

    @Option(
            names = "--scenario",
            paramLabel = "NAME",
            defaultValue = "precopy",
            description = {
                "What to show: precopy; postcopy (a guest that writes faster than precopy may send); recovery (the same,",
                "the link is cut for 5 s and the destination's daemon killed meanwhile); qemu (a real QEMU moves);",
                "qemu-recovery (the same by postcopy, the link is cut and both daemons killed). Default: ${DEFAULT-VALUE}."
            })
    private String scenario = "precopy";

    @Option(names = "--keep", description = "Leave logs and configuration, and say where.")
    private boolean keep;

    @Option(names = "--json", description = "Print the result as one JSON document.")
    private boolean json;

    @Option(
            names = "--launcher",
            paramLabel = "PATH",
            hidden = true,
            defaultValue = "${sys:migrationd.launcher:-}",
            description = "bin/migrationd.")
    private String launcher = "";

    @Spec
    private @Nullable CommandSpec spec;

    private DemoMain(Terminal terminal) {
        this.terminal = terminal;
    }

    /** Runs the demo and ends the process with its exit code. */
    public static void main(String[] arguments) {
        System.exit(run(Terminal.ofProcess(System.getenv()), arguments));
    }

    static int run(Terminal terminal, String... arguments) {
        return new CommandLine(new DemoMain(terminal))
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setOut(terminal.outWriter())
                .setErr(terminal.errWriter())
                .execute(arguments);
    }

    @Override
    public Integer call() throws IOException {
        DemoScenario shown = DemoScenario.named(scenario)
                .orElseThrow(() -> usage("no scenario '%s'; there is: %s".formatted(scenario, DemoScenario.titles())));
        if (shown == DemoScenario.RECOVERY && transport != DemoTransport.TCP) {
            throw usage("scenario recovery goes over tcp");
        }
        if (launcher.isEmpty()) {
            throw usage("run it as bin/demo, or name bin/migrationd with --launcher");
        }
        Path directory = Files.createTempDirectory("migrationd-demo-");
        DemoHost source = new DemoHost("source", directory.resolve("source"), Path.of(launcher));
        DemoHost destination = new DemoHost("destination", directory.resolve("destination"), Path.of(launcher));
        Thread interrupted = new Thread(() -> cleanUp(directory, source, destination), "demo-clean-up");
        Runtime.getRuntime().addShutdownHook(interrupted);
        try {
            return show(shown, directory, source, destination);
        } finally {
            cleanUp(directory, source, destination);
            forget(interrupted);
        }
    }

    private int show(DemoScenario shown, Path directory, DemoHost source, DemoHost destination) {
        if (shown.isQemu()) {
            return showQemu(shown, source, destination);
        }
        DemoLoad load = new DemoLoad(ramBytes, rate == null ? shown.usualRate() : rate, pattern);
        DemoStage stage = new DemoStage(terminal, source, destination, load, timeoutSeconds);
        String listenUri = transport.uri(directory);
        try {
            DemoResult result = switch (shown) {
                case PRECOPY -> DemoPrecopy.run(stage, listenUri, downtimeLimitMillis);
                case POSTCOPY -> DemoPostcopy.run(stage, listenUri, downtimeLimitMillis);
                case RECOVERY -> DemoRecovery.run(stage, listenUri, downtimeLimitMillis);
                case QEMU, QEMU_RECOVERY -> throw new IllegalStateException("shown elsewhere");
            };
            result.print(terminal, json);
            if (!result.problems().isEmpty()) {
                complain(source, destination, String.join("; ", result.problems()));
            }
            return result.problems().isEmpty() ? 0 : DemoException.FAILED;
        } catch (DemoException e) {
            return failed(source, destination, e.exitCode(), String.valueOf(e.getMessage()));
        } catch (QmpException e) {
            return failed(
                    source, destination, DemoException.FAILED, "%s, to %s".formatted(e.getMessage(), e.request()));
        } catch (DaemonUnreachableException e) {
            return failed(source, destination, DemoException.FAILED, String.valueOf(e.getMessage()));
        }
    }

    private int showQemu(DemoScenario shown, DemoHost source, DemoHost destination) {
        try (DemoQemu demo = new DemoQemu(terminal, source, destination, timeoutSeconds, downtimeLimitMillis)) {
            DemoQemuResult result = shown == DemoScenario.QEMU ? demo.plain() : demo.recovery();
            result.print(terminal, json);
            if (!result.problems().isEmpty()) {
                complain(source, destination, String.join("; ", result.problems()));
            }
            return result.problems().isEmpty() ? 0 : DemoException.FAILED;
        } catch (DemoException e) {
            return failed(source, destination, e.exitCode(), String.valueOf(e.getMessage()));
        } catch (QmpException e) {
            return failed(
                    source, destination, DemoException.FAILED, "%s, to %s".formatted(e.getMessage(), e.request()));
        } catch (DaemonUnreachableException e) {
            return failed(source, destination, DemoException.FAILED, String.valueOf(e.getMessage()));
        }
    }

    private int failed(DemoHost source, DemoHost destination, int exitCode, String message) {
        if (json) {
            Map<String, Object> document = new LinkedHashMap<>();
            document.put("scenario", scenario);
            document.put("outcome", "failed");
            document.put("problems", List.of(message));
            terminal.out().println(Json.write(document));
        }
        complain(source, destination, message);
        return exitCode;
    }

    private void complain(DemoHost source, DemoHost destination, String message) {
        terminal.err().println("demo: " + message);
        source.tails().forEach(terminal.err()::println);
        destination.tails().forEach(terminal.err()::println);
    }

    /** From the main thread or from the shutdown hook, whichever comes first; the second finds nothing to do. */
    private synchronized void cleanUp(Path directory, DemoHost source, DemoHost destination) {
        source.close();
        destination.close();
        if (!Files.exists(directory)) {
            return;
        }
        if (keep) {
            terminal.err().println("demo: logs and configuration are in " + directory);
            return;
        }
        try (Stream<Path> files = Files.walk(directory)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(file);
            }
        } catch (IOException e) {
            terminal.err().println("demo: cannot remove %s: %s".formatted(directory, e));
        }
    }

    private static void forget(Thread hook) {
        try {
            boolean _ = Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException _) {
            // The hook is running: it finds that everything is cleaned up.
        }
    }

    private ParameterException usage(String message) {
        return new ParameterException(Objects.requireNonNull(spec).commandLine(), message);
    }
}
