package io.migrationd.migrationd;

import io.migrationd.migrationd.cli.InspectCommand;
import io.migrationd.migrationd.sample.BootGuestCommand;
import io.migrationd.migrationd.sample.SampleGuestCommand;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.IVersionProvider;

/**
 * {@code migrationd}: the daemon and its tools. Exit codes: 0 done, 1 failed, 2 wrong usage, 3 this host can't do it.
 */
@Command(
        name = "migrationd",
        description = "Live-migration daemon: moves running guests between hosts, in QEMU's stream.",
        mixinStandardHelpOptions = true,
        versionProvider = Main.Version.class,
        synopsisSubcommandLabel = "COMMAND",
        subcommands = {
            ServeCommand.class,
            CheckConfigCommand.class,
            InspectCommand.class,
            SampleGuestCommand.class,
            BootGuestCommand.class
        })
public final class Main {
    private Main() {}

    /** Runs one command and ends the process with its exit code. */
    public static void main(String[] arguments) {
        System.exit(new CommandLine(new Main()).setUsageHelpAutoWidth(true).execute(arguments));
    }

    static final class Version implements IVersionProvider {
        @Override
        public String[] getVersion() {
            return new String[] {"migrationd " + Daemon.version()};
        }
    }
}
