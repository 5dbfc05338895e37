package io.migrationd.it.fault;

import java.util.Optional;

/**
 * How a {@link ScriptedRelay} behaves. {@link #good()} keeps every rule of a relay between two QEMUs; each of the
 * others breaks one.
 *
 * @param main when the destination hears of the main connection
 * @param others when it hears of the others: those of multifd, or the postcopy preempt channel
 * @param othersBeforeMain the main connection waits until so many others are made
 * @param queueBytes what it keeps of the forward direction of one connection before it stops to read
 * @param bytesPerSecond what it delivers to the destination, of all connections together
 * @param diesTogether a break of one direction ends the other as well
 * @param stopsBefore no byte of this message of the return path reaches the source
 * @param stop what happens there
 */
public record Conduct(
        Connecting main,
        Connecting others,
        int othersBeforeMain,
        long queueBytes,
        long bytesPerSecond,
        boolean diesTogether,
        Optional<Place> stopsBefore,
        Stop stop) {
    /** A rate or a queue without a limit. */
    public static final long UNLIMITED = Long.MAX_VALUE;

    private static final long GOOD_QUEUE_BYTES = 64 << 10;

    /** When a connection is made to the destination. */
    public enum Connecting {
        /** As soon as the source has made its own. */
        ON_ACCEPT,
        /** Together with the first four bytes. */
        WITH_FIRST_BYTES
    }

    /** What happens in front of a message. */
    public enum Stop {
        /** Both ends see their connections end. */
        CLOSE,
        /** Nothing passes back until {@link ScriptedRelay#release}; the connections stay. */
        HOLD
    }

    /** Bounded, in order, late with the main connection and at once with the others, whole or dead. */
    public static Conduct good() {
        return new Conduct(
                Connecting.WITH_FIRST_BYTES,
                Connecting.ON_ACCEPT,
                0,
                GOOD_QUEUE_BYTES,
                UNLIMITED,
                true,
                Optional.empty(),
                Stop.CLOSE);
    }

    /** The destination hears of the main connection at that time. */
    public Conduct connectingMain(Connecting when) {
        return new Conduct(when, others, othersBeforeMain, queueBytes, bytesPerSecond, diesTogether, stopsBefore, stop);
    }

    /** The destination hears of the others at that time. */
    public Conduct connectingOthers(Connecting when) {
        return new Conduct(main, when, othersBeforeMain, queueBytes, bytesPerSecond, diesTogether, stopsBefore, stop);
    }

    /** The main connection is made when so many others are. */
    public Conduct mainAfter(int otherConnections) {
        return new Conduct(main, others, otherConnections, queueBytes, bytesPerSecond, diesTogether, stopsBefore, stop);
    }

    /** It takes whatever comes and keeps what it cannot deliver. */
    public Conduct swallowing() {
        return new Conduct(main, others, othersBeforeMain, UNLIMITED, bytesPerSecond, diesTogether, stopsBefore, stop);
    }

    /** It delivers so much. */
    public Conduct withRate(long rate) {
        return new Conduct(main, others, othersBeforeMain, queueBytes, rate, diesTogether, stopsBefore, stop);
    }

    /** A break of one direction leaves the other alone. */
    public Conduct dyingByHalves() {
        return new Conduct(main, others, othersBeforeMain, queueBytes, bytesPerSecond, false, stopsBefore, stop);
    }

    /** It ends before it has delivered that message to the source. */
    public Conduct losing(Place message) {
        return stopping(message, Stop.CLOSE);
    }

    /** It holds that message back until it is released. */
    public Conduct holding(Place message) {
        return stopping(message, Stop.HOLD);
    }

    private Conduct stopping(Place message, Stop how) {
        if (message != Place.SHUT && message != Place.PONG_LOADED) {
            throw new IllegalArgumentException("expected SHUT or PONG_LOADED, got " + message);
        }
        return new Conduct(
                main, others, othersBeforeMain, queueBytes, bytesPerSecond, diesTogether, Optional.of(message), how);
    }
}
