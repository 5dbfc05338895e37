package io.migrationd.it.matrix;

import java.util.List;
import java.util.Locale;

/**
 * How a round ended.
 *
 * @param problems what must not be, in words; none if all is well
 * @param sourceStatuses what query-migrate of the source said, in order
 * @param causes of the pauses that the source had
 * @param history of the link
 */
public record RoundResult(
        String name,
        Ending ending,
        List<String> problems,
        List<String> sourceStatuses,
        List<String> destinationStatuses,
        String errorDesc,
        List<String> causes,
        long recoveries,
        long millis,
        List<String> steps,
        List<String> history) {
    /** The migration was over before the place of a fault was reached: the round proves nothing. */
    static final String NOT_ALL_HAPPENED = "not all steps happened";

    private static final int MOST_STATUSES = 12;

    /** Whether it proves nothing, because a fault found no place. */
    public boolean isVoid() {
        return problems.contains(NOT_ALL_HAPPENED);
    }

    /** Whether everything was as it has to be. */
    public boolean isGood() {
        return problems.isEmpty();
    }

    RoundResult with(List<String> otherProblems, List<String> otherHistory) {
        return new RoundResult(
                name,
                ending,
                otherProblems,
                sourceStatuses,
                destinationStatuses,
                errorDesc,
                causes,
                recoveries,
                millis,
                steps,
                otherHistory);
    }

    /** Statuses in their order; of a long way its ends. */
    static String way(List<String> statuses, String arrow) {
        if (statuses.size() <= MOST_STATUSES) {
            return String.join(arrow, statuses);
        }
        int ends = MOST_STATUSES / 2;
        return String.join(arrow, statuses.subList(0, ends))
                + arrow
                + "(%d more)".formatted(statuses.size() - 2 * ends)
                + arrow
                + String.join(arrow, statuses.subList(statuses.size() - ends, statuses.size()));
    }

    /** In one line. */
    public String line() {
        return "%s: guest at the %s after %.1f s, %d recoveries; source %s; destination %s%s"
                .formatted(
                        name,
                        ending.toString().toLowerCase(Locale.ROOT),
                        millis / 1e3,
                        recoveries,
                        way(sourceStatuses, " > "),
                        way(destinationStatuses, " > "),
                        isGood() ? "" : "; WRONG: " + String.join("; ", problems));
    }

    /** With all that is known. */
    public String details() {
        return "%s%n  steps: %s%n  error-desc: %s%n  causes: %s%n  link:%n    %s"
                .formatted(line(), steps, errorDesc, causes, String.join("\n    ", history));
    }
}
