package io.migrationd.it.matrix;

import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.Newcomers;
import io.migrationd.it.fault.Place;
import io.migrationd.it.fault.Scope;
import io.migrationd.it.fault.Step;
import io.migrationd.it.fault.Step.Action.Break;
import io.migrationd.it.fault.Step.Action.Run;
import io.migrationd.it.fault.Step.Trigger.After;
import io.migrationd.it.fault.Step.Trigger.At;
import io.migrationd.it.matrix.RoundPlan.Hands;
import io.migrationd.it.matrix.RoundPlan.Order;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * The failure matrix: every place of a postcopy migration, cut in every way. A package counts when its last byte is
 * there, so everything before that byte ends at the source, everything behind it at the destination.
 */
public final class MatrixRows {
    /** Longer than the peer may be silent: both ends know. */
    private static final Duration SILENCE = Duration.ofMillis(1_500);

    /** Nobody waits for it to heal. */
    private static final Duration FOREVER = Duration.ofMinutes(10);

    private static final Duration BRIEF = Duration.ofMillis(300);
    private static final Duration LONGER = Duration.ofMillis(700);

    private static final List<Cut> ENDS = List.of(Cut.RESET, Cut.FIN);
    private static final List<Cut> WAYS =
            List.of(Cut.RESET, Cut.FIN, Cut.SILENCE, Cut.SILENCE_FORWARD, Cut.SILENCE_REVERSE, Cut.FIN_REVERSE);
    private static final List<Cut> BOTH = List.of(Cut.RESET, Cut.FIN, Cut.SILENCE);

    private final List<MatrixRow> rows = new ArrayList<>();

    private MatrixRows() {}

    /** All rows that break the link. */
    public static List<MatrixRow> ofLink() {
        var matrix = new MatrixRows();
        matrix.beforePackage();
        matrix.afterPackage();
        matrix.inRecovery();
        matrix.preempt();
        matrix.callersAndOperators();
        return matrix.rows;
    }

    /** All rows that kill daemons. */
    public static List<MatrixRow> ofKills() {
        var matrix = new MatrixRows();
        matrix.kills();
        return matrix.rows;
    }

    private void beforePackage() {
        for (Place place : List.of(
                Place.HEADER,
                Place.CONFIGURATION,
                Place.OPEN_RETURN_PATH,
                Place.PING_START,
                Place.PONG_START,
                Place.ADVISE,
                Place.RAM_START,
                Place.PRECOPY_PART,
                Place.DISCARD,
                Place.PING_DISCARDED,
                Place.PONG_DISCARDED,
                Place.PACKAGED,
                Place.PACKAGE_MIDDLE,
                Place.PACKAGE_BUT_LAST)) {
            for (Cut cut : ENDS) {
                one(place, cut, Ending.SOURCE, place == Place.PACKAGE_BUT_LAST ? "4, 5" : "1");
            }
        }
        for (Place place : List.of(Place.PRECOPY_PART, Place.DISCARD, Place.PACKAGE_MIDDLE, Place.PACKAGE_BUT_LAST)) {
            one(place, Cut.SILENCE, Ending.EITHER, "3");
            one(place, Cut.SILENCE_REVERSE, Ending.EITHER, "3");
            one(place, Cut.FIN_REVERSE, Ending.SOURCE, "1");
        }
    }

    private void afterPackage() {
        for (Place place : List.of(Place.PACKAGE, Place.PING_LISTENING, Place.PONG_LOADED)) {
            for (Cut cut : WAYS) {
                // A reset may overtake the bytes before it: then the guest never ran there.
                boolean reset = cut == Cut.RESET && place != Place.PONG_LOADED;
                one(place, cut, reset ? Ending.EITHER : Ending.DESTINATION, "4, 6");
            }
        }
        for (Place place : List.of(Place.FIRST_PAGE, Place.MIDDLE_PAGE, Place.REQUEST)) {
            for (Cut cut : WAYS) {
                one(place, cut, Ending.DESTINATION, cut == Cut.FIN_REVERSE || cut == Cut.SILENCE_REVERSE ? "18a" : "7");
            }
        }
        for (Place place : List.of(Place.IN_PAGE_HEADER, Place.IN_PAGE, Place.LAST_BUT_ONE_PAGE, Place.LAST_PAGE)) {
            for (Cut cut : BOTH) {
                one(place, cut, Ending.DESTINATION, "7");
            }
        }
        for (Place place : List.of(Place.RAM_END, Place.EOF, Place.BEFORE_SHUT, Place.SHUT)) {
            for (Cut cut : place == Place.BEFORE_SHUT ? WAYS : BOTH) {
                one(place, cut, Ending.DESTINATION, "18");
            }
        }
    }

    private void inRecovery() {
        for (Place place : List.of(
                Place.RECV_BITMAP, Place.IN_BITMAP, Place.BITMAP, Place.RESUME, Place.RESUME_ACK, Place.RESUMED_PAGE)) {
            for (Cut cut : List.of(Cut.RESET, Cut.FIN, Cut.SILENCE, Cut.SILENCE_REVERSE)) {
                add(
                        "second cut: %s at %s".formatted(words(cut), words(place)),
                        "11",
                        false,
                        Ending.DESTINATION,
                        _ -> List.of(at(Place.MIDDLE_PAGE, Cut.RESET), at(place, cut)));
            }
        }
        add(
                "five cuts in a row",
                "11",
                false,
                Ending.DESTINATION,
                _ -> List.of(
                        at(Place.FIRST_PAGE, Cut.RESET),
                        at(Place.RECV_BITMAP, Cut.FIN),
                        at(Place.IN_BITMAP, Cut.RESET),
                        at(Place.RESUME, Cut.RESET),
                        at(Place.RESUMED_PAGE, Cut.FIN)));
        add(
                "dialled address refuses for 0.7 s",
                "10",
                false,
                Ending.DESTINATION,
                _ -> List.of(new Step(
                        new At(Place.MIDDLE_PAGE, 1), new Break(Cut.RESET, Scope.ALL, LONGER, Newcomers.REFUSED))));
    }

    private void preempt() {
        for (Place place : List.of(Place.PREEMPT_FIRST_PAGE, Place.PREEMPT_IN_PAGE_HEADER, Place.PREEMPT_IN_PAGE)) {
            for (Cut cut : BOTH) {
                scoped(place, cut, Scope.PREEMPT, Ending.DESTINATION);
            }
        }
        scoped(Place.PREEMPT_CONNECTED, Cut.RESET, Scope.PREEMPT, Ending.EITHER);
        scoped(Place.PREEMPT_CONNECTED, Cut.FIN, Scope.PREEMPT, Ending.EITHER);
        scoped(Place.PACKAGE_BUT_LAST, Cut.RESET, Scope.ALL, Ending.SOURCE);
        for (Cut cut : BOTH) {
            scoped(Place.MIDDLE_PAGE, cut, Scope.MAIN, Ending.DESTINATION);
            scoped(Place.REQUEST, cut, Scope.ALL, Ending.DESTINATION);
            scoped(Place.BEFORE_SHUT, cut, Scope.ALL, Ending.DESTINATION);
        }
        for (Place place : List.of(Place.PREEMPT_CONNECTED, Place.PREEMPT_FIRST_PAGE)) {
            add(
                    "preempt channel swallows pages without a word from %s on".formatted(words(place)),
                    "13",
                    true,
                    Ending.DESTINATION,
                    _ -> List.of(new Step(
                            new At(place, 1), new Break(Cut.SILENCE, Scope.PREEMPT, FOREVER, Newcomers.SILENT))));
        }
        for (Place place : List.of(Place.BITMAP, Place.RESUME, Place.RESUME_ACK)) {
            add(
                    "preempt, second cut: reset at " + words(place),
                    "11, 13",
                    true,
                    Ending.DESTINATION,
                    _ -> List.of(at(Place.PREEMPT_FIRST_PAGE, Cut.RESET), at(place, Cut.RESET)));
        }
    }

    private void callersAndOperators() {
        for (int bytes = 0; bytes <= 6; bytes += 2) {
            // The start of RECV_BITMAP, as a source would send it.
            byte[] start = Arrays.copyOf(new byte[] {0x08, 0x00, 0x0a, 0x00, 0x08, 0x07}, bytes);
            add(
                    "paused, a caller says %d bytes and closes".formatted(bytes),
                    "12",
                    false,
                    Ending.DESTINATION,
                    hands -> List.of(
                            new Step(
                                    new At(Place.MIDDLE_PAGE, 1),
                                    new Break(Cut.RESET, Scope.ALL, LONGER, Newcomers.REFUSED)),
                            new Step(new After(BRIEF), new Run("stray caller", () -> hands.strayConnection(start)))));
        }
        operator(
                "migrate-pause at the source, then migrate-recover and resume",
                Order.PAUSE_SOURCE,
                Order.RECOVER,
                Order.RESUME);
        operator("migrate-pause at the destination, then migrate-recover", Order.PAUSE_DESTINATION, Order.RECOVER);
    }

    private void operator(String what, Order... orders) {
        add(
                what,
                "14",
                false,
                Ending.DESTINATION,
                hands -> List.of(new Step(new At(Place.MIDDLE_PAGE, 1), new Run(what, () -> hands.operator(orders)))));
    }

    private void kills() {
        kill("source daemon", Place.PRECOPY_PART, "1", Ending.SOURCE, Hands::killSource);
        kill("destination daemon", Place.PRECOPY_PART, "1", Ending.SOURCE, Hands::killDestination);
        kill("source daemon", Place.PACKAGE_BUT_LAST, "–", Ending.EITHER, Hands::killSource);
        kill("destination daemon", Place.PACKAGE_BUT_LAST, "5", Ending.SOURCE, Hands::killDestination);
        kill("destination daemon", Place.PACKAGE, "5", Ending.EITHER, Hands::killDestination);
        kill("source daemon", Place.PACKAGE, "9", Ending.DESTINATION, Hands::killSource);
        kill("source daemon", Place.REQUEST, "9", Ending.DESTINATION, Hands::killSource);
        kill("destination daemon", Place.REQUEST, "8", Ending.DESTINATION, Hands::killDestination);
        kill("both daemons", Place.REQUEST, "8, 9", Ending.DESTINATION, hands -> {
            hands.killSource();
            hands.killDestination();
        });
        kill("source daemon", Place.BEFORE_SHUT, "18", Ending.DESTINATION, Hands::killSource);
        kill("destination daemon", Place.BEFORE_SHUT, "18", Ending.DESTINATION, Hands::killDestination);
        // The last byte was sent; a destination that is slow has not run the guest by then, and says so when it is
        // back.
        kill("both daemons", Place.RAM_END, "18", Ending.EITHER, hands -> {
            hands.killSource();
            hands.killDestination();
        });
        killPreempt("destination daemon", Hands::killDestination);
        killPreempt("both daemons", hands -> {
            hands.killSource();
            hands.killDestination();
        });
    }

    private void kill(String who, Place place, String documented, Ending expected, Consumer<Hands> kill) {
        String what = "kill -9 of %s at %s".formatted(who, words(place));
        addPlan(what, documented, false, expected, true, hands -> List.of(killing(place, what, hands, kill)));
    }

    private void killPreempt(String who, Consumer<Hands> kill) {
        String what = "preempt, kill -9 of %s".formatted(who);
        addPlan(
                what,
                "8, 13",
                true,
                Ending.DESTINATION,
                true,
                hands -> List.of(killing(Place.PREEMPT_IN_PAGE, what, hands, kill)));
    }

    private static Step killing(Place place, String what, Hands hands, Consumer<Hands> kill) {
        return new Step(new At(place, 1), new Run(what, () -> kill.accept(hands)));
    }

    private void one(Place place, Cut cut, Ending expected, String documented) {
        add("%s at %s".formatted(words(cut), words(place)), documented, false, expected, _ -> List.of(at(place, cut)));
    }

    private void scoped(Place place, Cut cut, Scope scope, Ending expected) {
        add(
                "preempt, %s of %s at %s".formatted(words(cut), words(scope), words(place)),
                "13",
                true,
                expected,
                _ -> List.of(new Step(
                        new At(place, 1),
                        new Break(cut, scope, isSilence(cut) ? SILENCE : Duration.ZERO, Newcomers.SILENT))));
    }

    private static Step at(Place place, Cut cut) {
        return new Step(
                new At(place, 1),
                new Break(cut, Scope.ALL, isSilence(cut) ? SILENCE : Duration.ZERO, Newcomers.SILENT));
    }

    private static boolean isSilence(Cut cut) {
        return switch (cut) {
            case SILENCE, SILENCE_FORWARD, SILENCE_REVERSE -> true;
            case RESET, FIN, FIN_FORWARD, FIN_REVERSE -> false;
        };
    }

    private static String words(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    private void add(
            String what, String documented, boolean preempt, Ending expected, Function<Hands, List<Step>> script) {
        addPlan(what, documented, preempt, expected, false, script);
    }

    private void addPlan(
            String what,
            String documented,
            boolean preempt,
            Ending expected,
            boolean kills,
            Function<Hands, List<Step>> script) {
        String name = "%s%d".formatted(kills ? "k" : "r", rows.size());
        boolean slow = preempt || kills || what.contains(words(Place.REQUEST)) || what.startsWith("migrate-pause");
        rows.add(new MatrixRow(what, documented, new RoundPlan(name, preempt, slow, script, expected, true, kills)));
    }
}
