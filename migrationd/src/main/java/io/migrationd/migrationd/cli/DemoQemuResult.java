package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.Json;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What the demo with a QEMU saw.
 *
 * @param roundsBefore the guest's last round before the move
 * @param roundsAfter its last round seen at the destination
 * @param damage lines of the guest that should not be there
 * @param sourceGone whether the source's QEMU has ended
 * @param problems what speaks against success, empty when nothing does
 */
record DemoQemuResult(
        String scenario,
        String qemu,
        MoveView move,
        int roundsBefore,
        int roundsAfter,
        int damage,
        boolean sourceGone,
        List<String> problems) {
    void print(Terminal terminal, boolean json) {
        if (json) {
            terminal.out().println(Json.write(document()));
            return;
        }
        terminal.out()
                .println(
                        problems.isEmpty()
                                ? "the guest runs in the QEMU at the destination, and nowhere else"
                                : "the demo failed");
        MoveText.summary(move).stream().skip(1).forEach(terminal.out()::println);
        terminal.out().println(GuestText.fact("source", sourceGone ? "its QEMU has ended" : "its QEMU is still there"));
        terminal.out()
                .println(GuestText.fact(
                        "check",
                        "%d rounds before and %d after the move, %d lines of damage"
                                .formatted(roundsBefore, roundsAfter, damage)));
    }

    private Map<String, Object> document() {
        Map<String, Object> document = new LinkedHashMap<>();
        document.put("scenario", scenario);
        document.put("outcome", problems.isEmpty() ? "passed" : "failed");
        document.put("problems", problems);
        document.put("qemu", qemu);
        document.put("rounds-before", roundsBefore);
        document.put("rounds-after", roundsAfter);
        document.put("damage", damage);
        document.put("source-gone", sourceGone);
        document.put("move", move.json());
        return document;
    }
}
