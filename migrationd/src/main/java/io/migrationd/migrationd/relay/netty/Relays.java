package io.migrationd.migrationd.relay.netty;

import io.migrationd.migrationd.link.session.PeerChannels;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.relay.Relay;
import io.migrationd.migrationd.relay.RelayPlan;
import java.io.IOException;

/** Makes relays. They live on the event loop of their session and are over when it is. */
public final class Relays {
    private Relays() {}

    /**
     * Listens for the source's QEMU at the plan's socket. The target's relay must stand before QEMU connects. Not from
     * an event loop: it waits until the socket is bound.
     */
    public static Relay source(PeerSession session, RelayPlan plan) throws IOException {
        return SourceRelay.listen(PeerChannels.of(session), plan);
    }

    /**
     * Connects each of the source's channels to the destination's QEMU at the plan's socket. When this returns, the
     * source may open them.
     */
    public static Relay target(PeerSession session, RelayPlan plan) {
        return TargetRelay.await(PeerChannels.of(session), plan);
    }
}
