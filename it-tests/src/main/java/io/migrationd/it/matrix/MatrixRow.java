package io.migrationd.it.matrix;

import java.util.Locale;

/**
 * One row of the failure matrix.
 *
 * @param what breaks, in words
 * @param documented rows of the table of failures in docs/postcopy.md, empty if there is none
 */
public record MatrixRow(String what, String documented, RoundPlan plan) {
    /** Of the Markdown table that {@link #table} writes. */
    public static String head() {
        return "| what | row | guest runs at | source said | destination said | recoveries | seconds |  |\n"
                + "| --- | --- | --- | --- | --- | --- | --- | --- |";
    }

    /** This row with its result. */
    public String table(RoundResult result) {
        return "| %s | %s | %s | %s | %s | %d | %.1f | %s |"
                .formatted(
                        what,
                        documented,
                        result.ending().toString().toLowerCase(Locale.ROOT),
                        RoundResult.way(result.sourceStatuses(), " → "),
                        RoundResult.way(result.destinationStatuses(), " → "),
                        result.recoveries(),
                        result.millis() / 1e3,
                        result.isGood() ? "" : "**" + String.join("; ", result.problems()) + "**");
    }

    @Override
    public String toString() {
        return what;
    }
}
