package io.migrationd.migrationd.move.policy;

/** What to do now, and why in words. All but {@link Wait} are events of the move. */
public sealed interface Decision {
    /** A sentence with the figures that led to it. */
    String reason();

    /** Nothing. */
    record Wait(String reason) implements Decision {}

    /** Set QEMU's downtime-limit. */
    record RaiseDowntime(long toMillis, String reason) implements Decision {}

    /** Switch auto-converge on. */
    record ThrottleOn(String reason) implements Decision {}

    /** Switch auto-converge off, also if that takes an out-of-band command: a stalled and throttled source freezes. */
    record ThrottleOff(String reason) implements Decision {}

    /** Go over to postcopy. */
    record StartPostcopy(String reason) implements Decision {}

    /** Set QEMU's downtime-limit so that it switches over with what is left now. */
    record SwitchNow(long downtimeLimitMillis, String reason) implements Decision {}

    /** Give the move up; the guest runs on at the source. */
    record Cancel(String reason) implements Decision {}
}
