package io.migrationd.migrationd.orchestration;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.move.MoveAction;
import io.migrationd.migrationd.move.MoveEvent;
import io.migrationd.migrationd.move.Outcome;
import io.migrationd.migrationd.move.QemuCommand;
import io.migrationd.migrationd.move.QemuFact;
import io.migrationd.migrationd.move.Step;
import io.migrationd.migrationd.move.Timer;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What docs/ownership.md §1 asks of a driver. */
@DisplayName("The loop of one end of a move")
@Timeout(30)
class MoveLoopTest {
    private static final MoveEvent ASKED = new MoveEvent.SessionReset();
    private static final MoveEvent ANSWER = new MoveEvent.RecoverListening();
    private static final MoveEvent FACT = new MoveEvent.Qemu(QemuFact.UNKNOWN);
    private static final MoveEvent STUCK = new MoveEvent.TimerFired(Timer.STUCK);

    /** {@link #ASKED} is a command that finds {@link #ANSWER}; the look after it finds {@link #FACT}. */
    private static final class Recorder extends MoveLoop<Integer> {
        private final BlockingQueue<MoveEvent> handled = new LinkedBlockingQueue<>();
        private boolean looks;
        private int early = 2;

        Recorder() {
            super("test-move", UUID.randomUUID(), 0);
        }

        MoveEvent next() throws InterruptedException {
            MoveEvent next = handled.poll(10, TimeUnit.SECONDS);
            assertThat(next).as("an event").isNotNull();
            return next;
        }

        @Override
        Step<Integer> step(Integer before, MoveEvent event) {
            handled.add(event);
            return event.equals(ASKED)
                    ? new Step<>(
                            before,
                            List.of(new MoveAction.Command(QemuCommand.RECOVER), new MoveAction.Arm(Timer.STUCK)))
                    : new Step<>(before, List.of());
        }

        @Override
        void command(QemuCommand command) {
            found(ANSWER);
        }

        @Override
        long untilLook() {
            return looks ? 0 : 1000;
        }

        @Override
        void look() {
            if (looks) {
                looks = false;
                found(FACT);
            }
        }

        @Override
        long timerMillis(Timer timer) {
            return 10;
        }

        @Override
        boolean isEarly(Timer timer) {
            return early-- > 0;
        }

        @Override
        void write(Integer next, MoveAction.Write write) {}

        @Override
        void perform(MoveAction action) {}

        @Override
        void stepped(Integer before, MoveEvent event, Integer next) {}

        @Override
        void announced(Integer before, MoveEvent event, Integer next) {}

        @Override
        void note(String text) {}

        @Override
        void finish(Outcome outcome) {}

        @Override
        void ended(boolean brokenOff) {}
    }

    @Test
    void whatAMessageBringsAboutComesBeforeTheNextLook() throws Exception {
        try (Recorder loop = new Recorder()) {
            loop.startListening();
            // As a message of the peer does: put behind what waits, and QEMU is worth a look.
            assertThat(loop.offerTask(() -> {
                        loop.looks = true;
                        loop.found(ASKED);
                    }))
                    .isTrue();
            assertThat(loop.next()).isEqualTo(ASKED);
            assertThat(loop.next()).isEqualTo(ANSWER);
            assertThat(loop.next()).isEqualTo(FACT);
        }
    }

    @Test
    void timerThatIsEarlyIsPutOffAndNotLost() throws Exception {
        try (Recorder loop = new Recorder()) {
            loop.startListening();
            loop.offer(ASKED);
            assertThat(loop.next()).isEqualTo(ASKED);
            assertThat(loop.next()).isEqualTo(ANSWER);
            assertThat(loop.next()).isEqualTo(STUCK);
            assertThat(loop.early).as("asked until it was not").isEqualTo(-1);
        }
    }
}
