package io.migrationd.migrationd.orchestration;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Map;
import java.util.OptionalLong;

/** The destination's QEMU of a move, which outlives the daemon that has started it. */
interface IncomingProcess {
    /** Its QMP socket. */
    Path qmp();

    /** Its process, if it is known. */
    OptionalLong pid();

    /** What a later daemon needs to find it again; goes into the journal. */
    Map<String, String> record();

    /** Whether its process is known to be dead. */
    boolean isDead();

    /** SIGKILL, and waits until it is dead. */
    void kill() throws IOException;

    /** Starts or finds them. */
    interface Starter {
        /** Starts the QEMU that this host's own definition of the guest describes, paused and waiting. */
        IncomingProcess start(TargetJob job) throws IOException;

        /** What an earlier daemon has started. */
        IncomingProcess find(Map<String, String> record) throws IOException;
    }
}
