package io.migrationd.migrationd.move.policy;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Convergence policy")
class ConvergencePolicyTest {
    private static final long MIB = 1 << 20;

    /** At 100 MiB/s: 1 MiB takes 10 ms. */
    private static Look look(long now, String status, long passes, long leftMib, LinkHealth link, int throttle) {
        return new Look(
                now, status, leftMib * MIB, 1024 * MIB, passes, 1000, 4096, 100 * MIB * 8 / 1e6, 0, throttle, link, 0);
    }

    /**
     * A script of {@code what a pass leaves in MiB}, one look a second; {@code !} before it: the link is down,
     * {@code ~}: shaky, {@code =}: no new pass; {@code tN} sets the throttle. The answers, without what only waits.
     */
    private static List<String> run(MoveLimits limits, String script) {
        ConvergencePolicy policy = new ConvergencePolicy(limits, 0);
        List<String> answers = new ArrayList<>();
        long passes = 1;
        int throttle = 0;
        long now = 0;
        policy.look(look(now, "active", passes, 1000, LinkHealth.UP, 0));
        for (String word : script.trim().split(" +", -1)) {
            if (word.startsWith("t")) {
                throttle = Integer.parseInt(word.substring(1));
                continue;
            }
            now += 1000;
            LinkHealth link =
                    word.startsWith("!") ? LinkHealth.DOWN : word.startsWith("~") ? LinkHealth.SHAKY : LinkHealth.UP;
            passes += word.startsWith("=") || word.startsWith("!") ? 0 : 1;
            long left = Long.parseLong(word.replaceAll("[!~=]", ""));
            Decision decision = policy.look(look(now, "active", passes, left, link, throttle));
            assertFalse(decision.reason().isBlank());
            String name = switch (decision) {
                case Decision.Wait _ -> "";
                case Decision.RaiseDowntime(long to, var _) -> "raise " + to;
                case Decision.SwitchNow(long to, var _) -> "switch " + to;
                case Decision.ThrottleOn _ -> "throttle";
                case Decision.ThrottleOff _ -> "unthrottle";
                case Decision.StartPostcopy _ -> "postcopy";
                case Decision.Cancel _ -> "cancel";
            };
            if (!name.isEmpty()) {
                answers.add(now / 1000 + " " + name);
            }
        }
        return answers;
    }

    private static MoveLimits limits(long budget, String postcopy, boolean throttle) {
        PostcopyRule rule = switch (postcopy) {
            case "never" -> PostcopyRule.NEVER;
            case "needed" -> PostcopyRule.WHEN_NEEDED;
            default -> PostcopyRule.after(Long.parseLong(postcopy));
        };
        // 300 to 900 ms in 2 steps; 3 passes of less than 10 % are a stall.
        return new MoveLimits(budget, 300, 900, 2, rule, throttle, 3, 10);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        converges                       | 600000 | needed | true  | 500 300 200 100 60 40 20      |
        raises until QEMU switches      | 600000 | needed | true  | 95 94 93 89 88                | 2 raise 600; 3 raise 900
        cannot: postcopy                | 600000 | needed | false | 500 500 500 500 500           | 2 raise 600; 3 raise 900; 4 postcopy
        cannot: throttled, postcopy     | 600000 | needed | true  | 500 500 500 500 500 t99 500 500 500 500 | 2 raise 600; 3 raise 900; 4 throttle; 7 postcopy
        throttle still climbs           | 600000 | needed | true  | 500 500 500 500 500 t20 500 500 500 t50 500 | 2 raise 600; 3 raise 900; 4 throttle
        budget, no postcopy             | 8000   | never  | false | 500 500 500 500 500 500 500 500 500 | 2 raise 600; 3 raise 900; 8 cancel
        budget, postcopy                | 3000   | needed | false | 500 500 500 500               | 2 raise 600; 3 postcopy
        no budget, no way               | 0      | never  | false | 500 500 500 500 500 500       | 2 raise 600; 3 raise 900; 4 cancel
        postcopy after 2 s              | 600000 | 2000   | false | 900 800 700 600               | 2 postcopy
        link down: no postcopy          | 4000   | needed | false | 500 500 !500 !500 !500 !500 500 | 2 raise 600; 7 postcopy
        link down: no cancel            | 4000   | never  | false | 500 500 !500 !500 !500 !500 500 | 2 raise 600; 7 cancel
        link down: no stall             | 600000 | needed | false | 500 !500 500 !500 500 !500 500 !500 500 |
        throttled and down              | 600000 | never  | true  | 500 500 500 500 500 t20 500 !500 !500 !500 t0 500 500 | 2 raise 600; 3 raise 900; 4 throttle; 7 unthrottle; 9 unthrottle
        shaky: not throttled            | 600000 | never  | true  | 500 500 500 ~500 ~500 500 | 2 raise 600; 3 raise 900; 6 throttle
        throttled by others, and down   | 600000 | never  | false | t30 500 !500 !500 t0 !500      | 2 unthrottle
        between passes nothing happens  | 600000 | needed | true  | 500 =400 =300 =200 500 =400 =300 | 5 raise 600
        """)
    void decides(String why, long budget, String postcopy, boolean throttle, String script, String expected) {
        List<String> answers = run(limits(budget, postcopy, throttle), script);
        assertEquals(expected == null ? "" : expected, String.join("; ", answers), why);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "setup,true",
        "wait-unplug,true",
        "pre-switchover,false",
        "device,false",
        "postcopy-active,false",
        "cancelling,false",
        "completed,false"
    })
    void neverCancelsBehindTheGate(String status, boolean cancels) {
        ConvergencePolicy policy = new ConvergencePolicy(limits(1000, "needed", true), 0);
        assertTrue(policy.look(look(500, status, 0, 500, LinkHealth.UP, 0)) instanceof Decision.Wait);
        assertEquals(cancels, policy.look(look(5000, status, 0, 500, LinkHealth.UP, 0)) instanceof Decision.Cancel);
        assertTrue(policy.look(look(6000, status, 0, 500, LinkHealth.UP, 0)) instanceof Decision.Wait);
    }

    @Test
    void switchesAtALocalMinimum() {
        MoveLimits fiveSteps = new MoveLimits(600_000, 300, 900, 5, PostcopyRule.WHEN_NEEDED, true, 3, 10);
        // A valley of 70 MiB, 700 ms: more than the limit of 540 ms by then, less than the 900 ms that are allowed.
        assertEquals(
                "4 raise 420; 5 raise 540; 6 switch 770", String.join("; ", run(fiveSteps, "200 100 70 72 71 70")));
        // Rising again is no minimum.
        assertEquals(
                "2 raise 420; 3 raise 540; 4 raise 660; 5 switch 891",
                String.join("; ", run(fiveSteps, "60 61 62 80 81")));
    }

    @Test
    void everyPairOfStageAndEventIsARowOrRejected() {
        for (PolicyStage stage : PolicyStage.values()) {
            for (PolicyStage.Event event : PolicyStage.Event.values()) {
                List<PolicyStage> rows = PolicyStage.TABLE.stream()
                        .filter(row -> row.from() == stage && row.on() == event)
                        .map(PolicyStage.Transition::to)
                        .toList();
                if (rows.isEmpty()) {
                    assertThrows(IllegalStateException.class, () -> stage.next(event));
                } else {
                    assertEquals(rows, List.of(stage.next(event)));
                }
            }
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "-1,300,900,2,3,10",
        "1,0,900,2,3,10",
        "1,300,200,2,3,10",
        "1,300,2000001,2,3,10",
        "1,300,900,0,3,10",
        "1,300,900,2,0,10",
        "1,300,900,2,3,100"
    })
    void refusesLimitsThatMakeNoSense(long budget, long start, long max, int steps, int passes, int percent) {
        assertThrows(
                IllegalArgumentException.class,
                () -> new MoveLimits(budget, start, max, steps, PostcopyRule.NEVER, false, passes, percent));
    }

    @Test
    void believesTheSlowerOfQemuAndTheLink() {
        Look look = new Look(0, "active", 0, 0, 2, 0, 4096, 800, 77, 0, LinkHealth.UP, 10_000_000);
        assertEquals(10_000_000, look.bytesPerSecond());
        assertEquals(500, look.downtimeMillis(5_000_000));
        Look unknown = new Look(0, "active", 0, 0, 2, 0, 4096, 0, 77, 0, LinkHealth.UP, 0);
        assertEquals(77, unknown.downtimeMillis(5_000_000));
    }
}
