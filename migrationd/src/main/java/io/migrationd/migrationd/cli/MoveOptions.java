package io.migrationd.migrationd.cli;

import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Option;

/** What a move is asked for; what is not said comes from the guest's definition. */
final class MoveOptions {
    @Option(
            names = "--to",
            required = true,
            paramLabel = "HOST",
            description = "The other host: a name of [peers] in the configuration, or tcp:HOST:PORT of its daemon.")
    private String to = "";

    @Option(
            names = "--postcopy",
            paramLabel = "never|when-stuck|after-first-pass",
            description = "When the guest may run at the destination before all of its memory is there.")
    private @Nullable String postcopy;

    @Option(
            names = "--preempt",
            negatable = true,
            description = "Pages that the guest waits for go over a connection of their own.")
    private @Nullable Boolean preempt;

    @Option(names = "--multifd", paramLabel = "CHANNELS", description = "Parallel channels of QEMU; 0 is off.")
    private @Nullable Integer multifdChannels;

    @Option(names = "--xbzrle", negatable = true, description = "Send what changed in a page instead of the page.")
    private @Nullable Boolean xbzrle;

    @Option(
            names = "--auto-converge",
            negatable = true,
            description = "Let QEMU slow the guest down when it writes faster than the link carries.")
    private @Nullable Boolean autoConverge;

    @Option(
            names = "--downtime-limit",
            paramLabel = "MS",
            description = "How long the guest may stand still, at first.")
    private @Nullable Long downtimeLimitMillis;

    @Option(
            names = "--max-downtime",
            paramLabel = "MS",
            description = "How far that limit may be raised, step by step, when the move does not converge.")
    private @Nullable Long maxDowntimeMillis;

    @Option(names = "--time-budget", paramLabel = "MS", description = "How long precopy may take; 0 is without limit.")
    private @Nullable Long timeBudgetMillis;

    @Option(
            names = "--max-bandwidth",
            paramLabel = "BYTES",
            converter = SizeConverter.class,
            description = "Bytes per second at most, for example 100M. 0 is unlimited.")
    private @Nullable Long maxBandwidth;

    @Option(
            names = "--max-postcopy-bandwidth",
            paramLabel = "BYTES",
            converter = SizeConverter.class,
            description = "Bytes per second at most of pages that nobody waits for, in postcopy. 0 is unlimited.")
    private @Nullable Long maxPostcopyBandwidth;

    @Option(
            names = "--keep-source",
            negatable = true,
            description = "Leave the stopped QEMU at the source when the guest has arrived, instead of ending it.")
    private @Nullable Boolean keepSource;

    @Option(
            names = "--retries",
            paramLabel = "COUNT",
            description = "How often a move that failed with the guest at the source is tried again.")
    private @Nullable Integer retries;

    String to() {
        return to;
    }

    /** The arguments of move-start and move-check, without the guest. */
    Map<String, Object> arguments() {
        Map<String, Object> arguments = new LinkedHashMap<>();
        arguments.put("to", to);
        put(arguments, "postcopy", postcopy);
        put(arguments, "preempt", preempt);
        put(arguments, "multifd-channels", multifdChannels == null ? null : Long.valueOf(multifdChannels));
        put(arguments, "xbzrle", xbzrle);
        put(arguments, "auto-converge", autoConverge);
        put(arguments, "downtime-limit", downtimeLimitMillis);
        put(arguments, "max-downtime", maxDowntimeMillis);
        put(arguments, "time-budget", timeBudgetMillis);
        put(arguments, "max-bandwidth", maxBandwidth);
        put(arguments, "max-postcopy-bandwidth", maxPostcopyBandwidth);
        put(arguments, "keep-source", keepSource);
        put(arguments, "retries", retries == null ? null : Long.valueOf(retries));
        return arguments;
    }

    private static void put(Map<String, Object> arguments, String name, @Nullable Object value) {
        if (value != null) {
            arguments.put(name, value);
        }
    }
}
