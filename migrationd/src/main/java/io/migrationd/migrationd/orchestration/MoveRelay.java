package io.migrationd.migrationd.orchestration;

import java.nio.file.Path;
import java.util.Optional;

/** One end of a byte path, as a driver sees it. */
interface MoveRelay extends AutoCloseable {
    /** The Unix socket that QEMU connects to, or that it listens at. */
    Path path();

    /** Lets that many bytes be under way, if the bounds allow: the rest after the gate. */
    void makeRoom(long bytes);

    /** Little is under way again, by what the path delivers: in postcopy somebody waits behind it. */
    void adaptRoom();

    /** Whether nobody waits for a part of the stream, as in precopy. */
    void bulk(boolean on);

    /** Whether it stands: QEMU's connections are as they were, and may wait for the link. */
    boolean stands();

    /** Whether something that it carries is under way, or the link is down. Of one that {@link #stands}. */
    boolean isBusy();

    /** Why it is broken, if it is. */
    Optional<String> broken();

    /** What it has carried, for the report. */
    MoveTraffic traffic();

    /** What its taps found out, at the source. */
    Optional<SeenStream> stream();

    /** Closes all connections with QEMU and removes the socket. */
    @Override
    void close();
}
