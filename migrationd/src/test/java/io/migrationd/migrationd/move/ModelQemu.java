package io.migrationd.migrationd.move;

/**
 * A QEMU of the model, source or destination: the behaviour of the specification (07 §2-§4, §8), 7.2 and 10.0.
 *
 * @param started whether the process was ever started
 * @param alive whether the process lives
 * @param killedByUs whether we ended it
 * @param ranAtSwitch source: whether the guest ran when the switchover began: then it resumes by itself on failure
 * @param switching source: the switchover has begun
 * @param postcopyAsked source: migrate-start-postcopy was accepted
 * @param postcopy source: the switchover goes to postcopy
 * @param sentAll source: the last byte is in the relay
 */
record ModelQemu(
        boolean started,
        boolean alive,
        boolean killedByUs,
        QemuStatus status,
        Vcpus vcpus,
        boolean ranAtSwitch,
        boolean switching,
        boolean postcopyAsked,
        boolean postcopy,
        boolean sentAll) {
    static final ModelQemu SOURCE =
            new ModelQemu(true, true, false, QemuStatus.NONE, Vcpus.RUNNING, false, false, false, false, false);
    static final ModelQemu NOT_STARTED =
            new ModelQemu(false, false, false, QemuStatus.NONE, Vcpus.INCOMING, false, false, false, false, false);

    QemuFact fact() {
        return new QemuFact(status, vcpus);
    }

    boolean runs() {
        return alive && vcpus == Vcpus.RUNNING;
    }

    ModelQemu dead(boolean byUs) {
        return new ModelQemu(started, false, byUs, status, Vcpus.STOPPED, false, false, false, false, false);
    }

    ModelQemu incoming() {
        return new ModelQemu(true, true, false, QemuStatus.SETUP, Vcpus.INCOMING, false, false, false, false, false);
    }

    ModelQemu with(QemuStatus next) {
        return new ModelQemu(
                started, alive, killedByUs, next, vcpus, ranAtSwitch, switching, postcopyAsked, postcopy, sentAll);
    }

    ModelQemu with(Vcpus next) {
        return new ModelQemu(
                started, alive, killedByUs, status, next, ranAtSwitch, switching, postcopyAsked, postcopy, sentAll);
    }

    ModelQemu withPostcopyAsked() {
        return new ModelQemu(
                started, alive, killedByUs, status, vcpus, ranAtSwitch, switching, true, postcopy, sentAll);
    }

    ModelQemu beginSwitchover(boolean toPostcopy) {
        return new ModelQemu(
                started,
                alive,
                killedByUs,
                status,
                Vcpus.STOPPED,
                vcpus == Vcpus.RUNNING,
                true,
                postcopyAsked,
                toPostcopy,
                sentAll);
    }

    ModelQemu withSentAll(boolean next) {
        return new ModelQemu(
                started, alive, killedByUs, status, vcpus, ranAtSwitch, switching, postcopyAsked, postcopy, next);
    }

    /** Failed or cancelled: the guest is as it was before the switchover. */
    ModelQemu ended(QemuStatus how) {
        return with(how).with(ranAtSwitch ? Vcpus.RUNNING : vcpus);
    }
}
