package io.migrationd.migrationd.sample;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

/** {@code boot-guest}: writes the firmware image of a {@link BootGuest} and says how QEMU is to be started with it. */
@Command(
        name = "boot-guest",
        description = "Writes a firmware image for QEMU that writes its RAM all the time and proves that none of it is"
                + " lost. Prints the arguments for QEMU; the guest reports on the first serial line.",
        mixinStandardHelpOptions = true)
public final class BootGuestCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--out", required = true, description = "File to write.")
    private Path out = Path.of("");

    @Option(names = "--vcpus", defaultValue = "1", description = "vCPUs, 1 or 2 (${DEFAULT-VALUE}).")
    private int vcpus;

    @Option(names = "--ram-mib", defaultValue = "16", description = "RAM, 16 to 1024 MiB (${DEFAULT-VALUE}).")
    private int ramMebibytes;

    @Option(names = "--cold-mib", defaultValue = "1", description = "Pages written once, in MiB (${DEFAULT-VALUE}).")
    private int coldMebibytes;

    @Option(
            names = "--hot-pages",
            defaultValue = "64",
            description = "Pages that each vCPU keeps writing (${DEFAULT-VALUE}).")
    private int hotPages;

    @Option(
            names = "--delay-loops",
            defaultValue = "100000",
            description = "Length of the pause after each page: it sets the dirty rate (${DEFAULT-VALUE}).")
    private int delayLoops;

    @Option(
            names = "--rest",
            description =
                    "The first vCPU halts for 1 ms after each page instead of spinning: it needs little of a core.")
    private boolean rest;

    @Option(names = "--touch-cold", description = "Look for cold pages all the time.")
    private boolean touchCold;

    /** For picocli, which then fills it. */
    public BootGuestCommand() {
        spec = CommandSpec.create();
    }

    @Override
    public Integer call() throws IOException {
        BootGuest guest = guest();
        Files.write(out, guest.firmware());
        spec.commandLine().getOut().println(String.join(" ", guest.qemuArguments(out)));
        return 0;
    }

    private BootGuest guest() {
        try {
            BootGuest guest =
                    BootGuest.standard(vcpus).withHotPages(hotPages, delayLoops).withRam(ramMebibytes, coldMebibytes);
            BootGuest paced = rest ? guest.resting() : guest;
            return touchCold ? paced.touchingCold() : paced;
        } catch (IllegalArgumentException e) {
            throw new ParameterException(spec.commandLine(), e.getMessage(), e);
        }
    }
}
