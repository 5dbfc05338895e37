package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.migrationd.session.Capability;
import java.io.IOException;
import java.util.Map;

/** Stops the guest for the last part of a migration and, if need be, starts it again here. Migration thread. */
final class Switchover {
    private final OutgoingRequest request;
    private final Guest guest;
    private final OutgoingState state;
    private final Timeline timeline;
    private boolean guestStopped;

    Switchover(OutgoingRequest request, OutgoingState state, Timeline timeline) {
        this.request = request;
        this.guest = request.guest();
        this.state = state;
        this.timeline = timeline;
    }

    /** On return the guest writes no RAM any more, and an operator who wanted to be asked has agreed. */
    void stopGuest() throws IOException, InterruptedException {
        boolean wasRunning = guest.runState() == RunState.RUNNING;
        if (wasRunning) {
            request.release().stopping();
        }
        timeline.stopping();
        guestStopped = true;
        guest.stopForSwitchover();
        timeline.stopped();
        if (wasRunning) {
            state.announce("STOP", Map.of());
        }
        if (request.has(Capability.PAUSE_BEFORE_SWITCHOVER)) {
            state.transition(Event.REACH_GATE);
            state.awaitContinue();
        }
        state.transition(Event.SWITCH_OVER);
        timeline.gatePassed(state.bytesSent());
    }

    /** The migration is over and the guest still belongs here: it does what it did before. */
    void goOnHere() throws IOException {
        if (guestStopped) {
            startAgain();
            request.release().goesOnHere();
        }
    }

    /** The destination will never run it: the same, also after a restart of this daemon. */
    void startAgain() throws IOException {
        guest.resumeAfterFailure();
        if (guest.runState() == RunState.RUNNING) {
            state.announce("RESUME", Map.of());
        }
    }
}
