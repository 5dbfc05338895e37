package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.Json;
import io.migrationd.migrationd.qmp.QmpException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine.ScopeType;

/** {@code migrationctl}: moves guests and looks at them, through the control socket of the daemon on this host. */
@Command(
        name = "migrationctl",
        mixinStandardHelpOptions = true,
        scope = ScopeType.INHERIT,
        versionProvider = MigrationctlMain.Version.class,
        synopsisSubcommandLabel = "COMMAND",
        usageHelpAutoWidth = true,
        description = "Moves running guests to other hosts and looks at them, through migrationd on this host.",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:done",
            "1:failed; the guest is at the source",
            "2:wrong usage",
            "3:refused before any data moved",
            "4:cancelled; the guest is at the source",
            "5:the guest is at the destination, with a warning",
            "6:paused; recovery is under way",
            "7:lost; see the report",
            "8:the daemon cannot be reached",
            "9:timed out waiting; the job goes on"
        })
public final class MigrationctlMain {
    /** A defect of this program: says nothing of any guest. Wire source: sysexits.h, EX_SOFTWARE. */
    private static final int DEFECT = 70;

    private final Terminal terminal;

    @Option(
            names = "--json",
            scope = ScopeType.INHERIT,
            description = "Print results and errors as JSON, one document per line.")
    private boolean json;

    @Option(
            names = "--socket",
            scope = ScopeType.INHERIT,
            paramLabel = "PATH",
            defaultValue = "${env:MIGRATIOND_SOCKET:-/run/migrationd/control.sock}",
            description =
                    "Control socket of the daemon. Default: $MIGRATIOND_SOCKET, else /run/migrationd/control.sock.")
    private Path socket = Path.of("/run/migrationd/control.sock");

    private MigrationctlMain(Terminal terminal) {
        this.terminal = terminal;
    }

    /** Runs one command line and ends the process with its exit code. */
    public static void main(String[] arguments) {
        System.exit(run(Terminal.ofProcess(System.getenv()), arguments));
    }

    /** Runs one command line and returns its exit code. */
    static int run(Terminal terminal, String... arguments) {
        return commandLine(terminal).execute(arguments);
    }

    /** The whole tree of commands. */
    static CommandLine commandLine(Terminal terminal) {
        MigrationctlMain main = new MigrationctlMain(terminal);
        CommandLine commandLine = new CommandLine(main);
        commandLine.addSubcommand(new GuestCommand(main));
        commandLine.addSubcommand(new MigrateCommand(main));
        commandLine.addSubcommand(new IncomingCommand(main));
        commandLine.addSubcommand(new ContinueCommand(main));
        commandLine.addSubcommand(new CancelCommand(main));
        commandLine.addSubcommand(new StartPostcopyCommand(main));
        commandLine.addSubcommand(new PauseCommand(main));
        commandLine.addSubcommand(new RecoverCommand(main));
        commandLine.addSubcommand(new ResumeCommand(main));
        commandLine.addSubcommand(new UnparkCommand(main));
        commandLine.addSubcommand(new MoveCommand(main));
        commandLine.addSubcommand(new CheckCommand(main));
        commandLine.addSubcommand(new MovesCommand(main));
        commandLine.addSubcommand(new RescueCommand(main));
        commandLine.addSubcommand(new ReportCommand(main));
        commandLine.addSubcommand(new SetCommand(main));
        commandLine.addSubcommand(new StatusCommand(main));
        commandLine.addSubcommand(new WatchCommand(main));
        commandLine.addSubcommand(new RawCommand(main));
        commandLine.addSubcommand(new CompletionCommand(main));
        commandLine.setCaseInsensitiveEnumValuesAllowed(true);
        commandLine.registerConverter(MigrationUri.class, new MigrationUri.Converter());
        commandLine.registerConverter(CapabilityChange.class, new CapabilityChange.Converter());
        commandLine.setOut(terminal.outWriter());
        commandLine.setErr(terminal.errWriter());
        commandLine.setParameterExceptionHandler(main::usageError);
        commandLine.setExecutionExceptionHandler(main::failure);
        return commandLine;
    }

    Terminal terminal() {
        return terminal;
    }

    boolean json() {
        return json;
    }

    QmpClient connect() throws DaemonUnreachableException {
        return QmpClient.connect(socket);
    }

    /** Prints a result: the document with {@code --json}, the text otherwise. */
    void print(Object document, Iterable<String> text) {
        if (json) {
            terminal.out().println(Json.write(document));
        } else {
            text.forEach(terminal.out()::println);
        }
    }

    private int usageError(ParameterException e, String[] arguments) {
        CommandLine command = e.getCommandLine();
        complain(
                ExitCode.USAGE,
                "Usage",
                String.valueOf(e.getMessage()),
                "help:  %s --help".formatted(command.getCommandSpec().qualifiedName()));
        return ExitCode.USAGE.code();
    }

    private int failure(Exception e, CommandLine command, @Nullable ParseResult parsed) throws Exception {
        return switch (e) {
            case QmpException refused -> {
                complain(
                        ExitCode.REFUSED,
                        refused.errorClass(),
                        "%s (%s)".formatted(refused.getMessage(), refused.errorClass()),
                        "asked: " + refused.request(),
                        "next:  " + advice(refused));
                yield ExitCode.REFUSED.code();
            }
            case DaemonUnreachableException unreachable -> {
                complain(
                        ExitCode.UNREACHABLE,
                        "Unreachable",
                        String.valueOf(unreachable.getMessage()),
                        "next:  systemctl status migrationd, or start one with: migrationd serve --config FILE",
                        "       another socket: --socket PATH or MIGRATIOND_SOCKET");
                yield ExitCode.UNREACHABLE.code();
            }
            default -> {
                terminal.err().println("migrationctl: a defect of this program, please report it");
                e.printStackTrace(terminal.err());
                yield DEFECT;
            }
        };
    }

    private void complain(ExitCode code, String errorClass, String what, String... more) {
        if (json) {
            Map<String, Object> document = new LinkedHashMap<>();
            document.put("outcome", code.jsonName());
            document.put("exit-code", code.code());
            document.put("error", Map.of("class", errorClass, "desc", what));
            terminal.out().println(Json.write(document));
        }
        terminal.err().println("migrationctl: " + what);
        for (String line : more) {
            terminal.err().println("  " + line);
        }
    }

    private static String advice(QmpException refused) {
        return switch (refused.errorClass()) {
            case "DeviceNotFound" -> "migrationctl guest list (shows the guests of this host)";
            case "CommandNotFound" -> "migrationctl status (the daemon may be of another version)";
            default -> "migrationctl status NAME (shows what the guest is doing)";
        };
    }

    /** The version that Maven wrote into the jar. */
    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"migrationctl " + version()};
        }

        private static String version() {
            try (InputStream in =
                    Version.class.getResourceAsStream("/META-INF/maven/io.migrationd/migrationd/pom.properties")) {
                Properties properties = new Properties();
                if (in != null) {
                    properties.load(in);
                }
                return properties.getProperty("version", "(not packaged)");
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
