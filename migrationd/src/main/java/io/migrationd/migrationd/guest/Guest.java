package io.migrationd.migrationd.guest;

import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.postcopy.memory.DirtyLog;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.UUID;

/**
 * A guest as the engines see it. The owner (the daemon's guest service) serializes migrations: at most one engine works
 * on a guest at a time. Calls block until the guest has answered, at most the guest protocol's deadline.
 */
public interface Guest {
    /** The name on this host. */
    String name();

    /** Who runs it. */
    GuestKind kind();

    /** Its identity; checked against the stream's with capability validate-uuid. */
    Optional<UUID> uuid();

    /** The machine type; empty for a parked guest that holds nothing yet, which takes what the stream says. */
    Optional<String> machineType();

    /** Size of a guest page, the unit of every page record. */
    int targetPageSizeBytes();

    /** Its RAM, in the order in which it is announced. Empty for a parked guest that holds nothing yet. */
    List<RamBlock> ram();

    /** Where it stands. */
    RunState runState();

    /** The run state to announce in {@code globalstate}: that before the migration stopped it. */
    RunState stateToAnnounce();

    /** Starts to track writes. The guest may run. */
    DirtyLog openDirtyLog() throws ErrnoException, GuestException;

    /**
     * Stops the guest for the last pass: on return none of its threads writes RAM any more. Run state finish-migrate.
     * Does nothing to a guest that does not run.
     */
    void stopForSwitchover() throws GuestException;

    /** After a migration that failed or was cancelled: back to what it did before. Must not fail for lack of a peer. */
    void resumeAfterFailure() throws GuestException;

    /** After a migration that completed: this copy never runs again. Run state postmigrate. */
    void releaseAfterMigration();

    /** The device state of the stopped guest, in the order in which it is sent. */
    List<DeviceSection> saveDevices() throws GuestException;

    /**
     * Whether memory of an incoming postcopy that is not complete is here although no process runs it: parked guests
     * only. A process guest whose guest runs says so by its run state.
     */
    default boolean holdsIncoming() {
        return false;
    }

    /**
     * After a restart of the daemon in postcopy: the RAM of a guest that runs here already, with what is present in it
     * as what was received. Faults that were read by the dead daemon are raised again by the first {@code start}.
     */
    IncomingMemory reopenIncoming(String session) throws IOException;

    /** Where an incoming stream goes. Closed by {@link IncomingGuest#commit} or {@link IncomingGuest#abort}. */
    IncomingGuest beginIncoming() throws GuestException;

    /** The receiving side of one incoming migration. One thread. */
    interface IncomingGuest {
        /**
         * The machine type of the configuration section.
         *
         * @param received compared over its length only, as QEMU does: a prefix of the local name passes
         * @param offset of the name in the stream
         */
        void machineType(String received, long offset) throws ProtocolException;

        /**
         * The block of that name. A process guest has its blocks already and refuses others and other lengths; a parked
         * guest makes them here, within its limit.
         *
         * @param pageSizeBytes as announced, or 0 for the base page size
         * @param offset of the entry in the stream
         */
        RamBlock block(String name, long lengthBytes, int pageSizeBytes, long offset)
                throws ProtocolException, ErrnoException;

        /**
         * How device sections are delimited. A guest that knows its devices has an entry for each; {@code null} for
         * parked guests, which take any: their sections are opaque and found by their footers.
         */
        Optional<List<DeviceFormat>> devices();

        /**
         * All that came so far is the whole guest: does whatever may fail now, before the source is told that it may
         * give the guest away. {@link #commit} with the same sections then has no reason left to refuse.
         */
        void prepare(List<DeviceSection> sections) throws IOException;

        /** After {@link #commit} has failed: whether the guest may run here all the same. */
        boolean mayRun();

        /**
         * The whole stream is there: hands the device state over and takes the run state. On return the guest is
         * complete and runs, if {@code run} and it can. Nothing may fail after this.
         */
        void commit(List<DeviceSection> sections, IncomingState state) throws IOException;

        /**
         * ADVISE: the stream may end in postcopy. Fails where missing pages cannot be served for this guest, with what
         * is missing.
         */
        void advisePostcopy() throws IOException;

        /**
         * LISTEN: from the start of the returned memory on, the guest may meet pages that are not there yet.
         *
         * @param blocks those of the block list, with what was received in precopy
         */
        IncomingMemory listen(String session, List<IncomingBlock> blocks) throws IOException;

        /**
         * RUN: as {@link #commit}, with RAM that is not complete. After it {@link #mayRun} is true and {@link #abort}
         * must not be called.
         */
        void run(List<DeviceSection> sections, IncomingState state) throws IOException;

        /** Throws away what came, so that nothing half-made is left. Idempotent. */
        void abort();
    }

    /** Every page of an incoming postcopy is here: what only that needed is given back. */
    void completeIncoming() throws IOException;

    /**
     * What the stream said besides RAM and devices.
     *
     * @param runState what globalstate announced; {@code running} if there was none
     * @param uuid from the configuration section
     * @param targetPageSizeBytes of the source
     * @param vmdescription the JSON text, empty if none came
     */
    record IncomingState(String runState, Optional<UUID> uuid, int targetPageSizeBytes, String vmdescription) {}
}
