package io.migrationd.it.matrix;

import io.migrationd.it.fault.Step;
import java.util.List;
import java.util.function.Function;

/**
 * One migration of one guest and what happens to it.
 *
 * @param name of one word, unique
 * @param preempt with capability postcopy-preempt
 * @param slow with so little bandwidth in postcopy that the guest has to ask for pages
 * @param script steps of the link; they may need what can be done to the daemons
 * @param expected where the guest has to run in the end
 * @param allHappens whether every step has to happen
 * @param kills whether a daemon is killed: no other guest may depend on it then
 */
public record RoundPlan(
        String name,
        boolean preempt,
        boolean slow,
        Function<Hands, List<Step>> script,
        Ending expected,
        boolean allHappens,
        boolean kills) {
    /** The same once more. */
    public RoundPlan again(int attempt) {
        return new RoundPlan(name + "-" + attempt, preempt, slow, script, expected, allHappens, kills);
    }

    /** What a script can do besides breaking the link. All of it is quick, and may be done by the link's thread. */
    public interface Hands {
        /** SIGKILL for the daemon of the source. It is started again. */
        void killSource();

        /** SIGKILL for the daemon of the destination. It is started again. */
        void killDestination();

        /** Connects to the destination, past the link, writes {@code bytes} and closes. */
        void strayConnection(byte[] bytes);

        /** An operator: one command after the other, not waited for. */
        void operator(Order... orders);
    }

    /** What an operator may order. */
    public enum Order {
        PAUSE_SOURCE,
        PAUSE_DESTINATION,
        /** migrate-recover at the destination, with the address that it has. */
        RECOVER,
        /** migrate with resume at the source, over the link. */
        RESUME
    }

    @Override
    public String toString() {
        return name;
    }
}
