package io.migrationd.migrationd.guest.process;

import java.util.List;
import java.util.Map;
import java.util.Optional;

/** The messages of the guest socket, docs/guest-protocol.md. */
public sealed interface GuestMessage {
    /** VMM to daemon, the first message of a connection. */
    record Hello(GuestHello guest) implements GuestMessage {}

    /** Daemon to VMM: the hello was taken. */
    record Ready(int version) implements GuestMessage {}

    /** Daemon to VMM: the hello was not taken; the connection ends. */
    record Refused(String reason) implements GuestMessage {}

    /**
     * Daemon to VMM.
     *
     * @param start with {@link GuestVerb#RUN}: whether the guest starts or stays paused
     * @param sections with {@link GuestVerb#LOAD}: what the payload holds
     */
    record Request(long id, GuestVerb verb, boolean start, List<SectionHeader> sections) implements GuestMessage {}

    /**
     * VMM to daemon: the outcome of the request of that id.
     *
     * @param error why it was not done, empty if it was
     * @param mode with {@link GuestVerb#STATUS}: where the guest stands
     * @param sections with {@link GuestVerb#SAVE}: what the payload holds
     */
    record Reply(long id, Optional<String> error, Optional<GuestMode> mode, List<SectionHeader> sections)
            implements GuestMessage {
        /** The request was done. */
        public static Reply done(long id) {
            return new Reply(id, Optional.empty(), Optional.empty(), List.of());
        }

        /** The request was not done. */
        public static Reply failed(long id, String error) {
            return new Reply(id, Optional.of(error), Optional.empty(), List.of());
        }
    }

    /** VMM to daemon: what the guest found out about its own consistency. */
    record Check(Map<String, Object> report) implements GuestMessage {}

    /** VMM to daemon: the guest ends by itself; the end of the connection follows. */
    record Bye(String reason) implements GuestMessage {}

    /** One device section in a payload; sections follow each other in this order without gaps. */
    record SectionHeader(String name, int instanceId, int version, int lengthBytes) {}
}
