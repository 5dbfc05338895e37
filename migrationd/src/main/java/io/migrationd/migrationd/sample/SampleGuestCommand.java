package io.migrationd.migrationd.sample;

import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import io.migrationd.migrationd.guest.process.GuestMode;
import io.migrationd.migrationd.sample.SampleConnection.RefusedByDaemonException;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code sample-guest}: runs a sample guest in this process until it is told to end. */
@Command(
        name = "sample-guest",
        description = "Runs a guest that writes its RAM all the time and proves that none of it is lost.",
        mixinStandardHelpOptions = true)
public final class SampleGuestCommand implements Callable<Integer> {
    private static final Logger log = LoggerFactory.getLogger(SampleGuestCommand.class);
    private static final int EXIT_REFUSED = 1;
    private static final int EXIT_USAGE = 2;
    private static final int EXIT_HOST = 3;
    private static final long FIRST_BACKOFF_MILLIS = 50;
    private static final long MAX_BACKOFF_MILLIS = 500;

    @Option(names = "--name", required = true, description = "Name of the guest on this host.")
    private String name = "";

    @Option(names = "--socket", required = true, description = "The daemon's guest socket.")
    private Path socket = Path.of("");

    @Option(names = "--uuid", description = "Identity of the guest.")
    private @Nullable UUID uuid;

    @Option(names = "--machine", defaultValue = "migrationd-sample-1", description = "Machine type (${DEFAULT-VALUE}).")
    private String machine = "";

    @Option(names = "--ram", defaultValue = "64M", description = "RAM, with K, M or G (${DEFAULT-VALUE}).")
    private String ram = "";

    @Option(names = "--blocks", defaultValue = "1", description = "RAM blocks besides the index (${DEFAULT-VALUE}).")
    private int blocks;

    @Option(
            names = "--rate",
            defaultValue = "1000",
            description = "Page writes per second, 0 for all (${DEFAULT-VALUE}).")
    private long rate;

    @Option(names = "--pattern", defaultValue = "random", description = "sequential, random or hot (${DEFAULT-VALUE}).")
    private String pattern = "";

    @Option(names = "--threads", defaultValue = "1", description = "Threads that write (${DEFAULT-VALUE}).")
    private int threads;

    @Option(names = "--incoming", description = "Wait for a migration.")
    private boolean incoming;

    @Option(names = "--zero-share", defaultValue = "0", description = "Share of RAM never written (${DEFAULT-VALUE}).")
    private double zeroShare;

    @Option(names = "--seed", defaultValue = "1", description = "Seed of all that looks random (${DEFAULT-VALUE}).")
    private long seed;

    @Option(names = "--corrupt-page", defaultValue = "-1", description = "Corrupt this page once, on purpose.")
    private long corruptPage;

    @Option(
            names = "--touch",
            defaultValue = "sequential",
            description = "Order of the first look at all pages: sequential, random or none (${DEFAULT-VALUE}).")
    private String touch = "";

    @Option(names = "--huge-pages", description = "RAM blocks of 2 MiB pages (vm.nr_hugepages).")
    private boolean hugePages;

    @Option(names = "--exit-on-release", description = "Exit when the guest has migrated away.")
    private boolean exitOnRelease;

    private final CountDownLatch ended = new CountDownLatch(1);
    /** Ends the connection to the daemon. Written by the guest's thread. */
    private volatile Runnable hangUp = () -> {};

    private boolean attachedBefore;
    private long backoffMillis = FIRST_BACKOFF_MILLIS;

    /** For a launcher of its own. */
    public static void main(String[] args) {
        CommandLine command = new CommandLine(new SampleGuestCommand());
        System.exit(command.execute(args));
    }

    /** Ends the guest, wherever it stands. Any thread, any number of times. */
    public void end() {
        ended.countDown();
        hangUp.run();
    }

    @Override
    public Integer call() throws InterruptedException {
        SampleOptions options;
        try {
            options = options();
        } catch (IllegalArgumentException e) {
            return fail(EXIT_USAGE, e);
        }
        Runtime.getRuntime()
                .addShutdownHook(Thread.ofPlatform().name("sample-end").unstarted(ended::countDown));
        try (SampleMachine guest = new SampleMachine(options)) {
            return attachUntilEnd(guest);
        } catch (ErrnoException e) {
            return fail(EXIT_HOST, e);
        } catch (RefusedByDaemonException e) {
            return fail(EXIT_REFUSED, e);
        }
    }

    private SampleOptions options() {
        return new SampleOptions(
                name,
                Optional.ofNullable(uuid),
                machine,
                bytes(ram),
                blocks,
                rate,
                SampleOptions.Pattern.valueOf(pattern.toUpperCase(Locale.ROOT)),
                threads,
                incoming,
                zeroShare,
                seed,
                corruptPage,
                SampleOptions.Touch.valueOf(touch.toUpperCase(Locale.ROOT)),
                hugePages);
    }

    private static long bytes(String size) {
        if (!size.matches("[0-9]{1,12}[KMG]?")) {
            throw new IllegalArgumentException("--ram is a number with K, M or G, not " + size);
        }
        int unit = "KMG".indexOf(size.charAt(size.length() - 1)) + 1;
        long number = Long.parseLong(unit == 0 ? size : size.substring(0, size.length() - 1));
        return Math.multiplyExact(number, 1L << (10 * unit));
    }

    /**
     * A daemon that goes does not take its guests along: the guest runs on and looks for the next one. One that was
     * never attached and is refused has nothing to lose.
     */
    private int attachUntilEnd(SampleMachine guest) throws RefusedByDaemonException, InterruptedException {
        do {
            backoffMillis = Math.min(2 * backoffMillis, MAX_BACKOFF_MILLIS);
            try {
                SampleConnection.serve(guest, socket, exitOnRelease, attached -> announce(guest, attached));
            } catch (IOException e) {
                log.atInfo()
                        .addKeyValue("socket", socket)
                        .addKeyValue("reason", e)
                        .log("no connection to a daemon");
            } catch (RefusedByDaemonException e) {
                if (!attachedBefore) {
                    throw e;
                }
                log.atWarn().addKeyValue("reason", e.getMessage()).log("the daemon does not take the guest back");
            }
            if (guest.mode() == GuestMode.RELEASED && attachedBefore) {
                return 0;
            }
        } while (!ended.await(backoffMillis, TimeUnit.MILLISECONDS));
        return 0;
    }

    private void announce(SampleMachine guest, Runnable endOfConnection) {
        hangUp = endOfConnection;
        if (ended.getCount() == 0) {
            endOfConnection.run();
        }
        System.out.println(JsonNodeFactory.instance
                .objectNode()
                .put("event", attachedBefore ? "attached-again" : "attached")
                .put("name", name)
                .put("pid", ProcessHandle.current().pid())
                .put("mode", guest.mode().jsonName()));
        attachedBefore = true;
        backoffMillis = FIRST_BACKOFF_MILLIS;
    }

    private static int fail(int code, Exception e) {
        System.err.println("sample-guest: " + e.getMessage());
        return code;
    }
}
