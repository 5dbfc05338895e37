package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.JsonObject;
import java.util.ArrayList;
import java.util.List;
import java.util.OptionalLong;

/** What a sample guest says of itself: the object {@code check} of {@code guest-show}. */
record DemoCheck(JsonObject report) {
    /** Nothing said yet. */
    static final DemoCheck NONE = new DemoCheck(JsonObject.EMPTY);

    static DemoCheck of(JsonObject guestShow) {
        return guestShow.object("check").map(DemoCheck::new).orElse(NONE);
    }

    /** Pages that did not hold what was written to them. */
    OptionalLong violations() {
        return report.number("violations");
    }

    /** Whether every page was looked at since the guest began to run where it runs. */
    boolean verified() {
        return Boolean.TRUE.equals(report.members().get("verified"));
    }

    /** Pages of the guest. */
    long pages() {
        return report.number("pages").orElse(0);
    }

    /** Writes since the guest was made, wherever it ran. */
    long operations() {
        return report.number("operations").orElse(0);
    }

    /**
     * What speaks against a guest that is said to run at the destination and nowhere else. Empty: nothing does.
     *
     * @param runsAgainAtSource whether the source obeyed when it was asked to run its copy
     * @param operationsBefore what the guest had done when it was last seen at the source
     */
    static List<String> problems(
            MigrationView migration,
            String sourceState,
            String destinationState,
            boolean runsAgainAtSource,
            long operationsBefore,
            DemoCheck after) {
        List<String> problems = new ArrayList<>();
        if (!migration.status().equals("completed")) {
            problems.add("the migration is %s: %s"
                    .formatted(migration.status(), migration.error().orElse("no reason given")));
        }
        if (sourceState.equals("running")) {
            problems.add("the guest runs at the source");
        }
        if (runsAgainAtSource) {
            problems.add("the source let its copy run again");
        }
        if (!destinationState.equals("running")) {
            problems.add("the guest is %s at the destination".formatted(destinationState));
        }
        if (after.violations().isEmpty()) {
            problems.add("the guest did not report on its memory");
        } else if (after.violations().getAsLong() != 0) {
            problems.add("%d pages of the guest do not hold what was written to them"
                    .formatted(after.violations().getAsLong()));
        }
        if (!after.verified()) {
            problems.add("not every page was verified at the destination");
        }
        if (after.operations() <= operationsBefore) {
            problems.add("the guest did nothing after the move: %d operations before, %d after"
                    .formatted(operationsBefore, after.operations()));
        }
        return problems;
    }
}
