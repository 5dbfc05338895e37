package io.migrationd.migrationd.control;

import io.migrationd.migrationd.config.ControlConfig;
import java.util.Optional;

/**
 * Who may do what.
 *
 * @param ownUid the daemon's own user; it and root administer
 */
public record AccessPolicy(ControlConfig config, int ownUid) {
    private static final int ROOT = 0;

    /** The highest role of that peer; empty if it has none and is to be turned away. */
    public Optional<Role> roleOf(Peer peer) {
        if (peer.uid() == ROOT || peer.uid() == ownUid || config.administer().include(peer.uid(), peer.gids())) {
            return Optional.of(Role.ADMINISTER);
        }
        if (config.operate().include(peer.uid(), peer.gids())) {
            return Optional.of(Role.OPERATE);
        }
        return config.observe().include(peer.uid(), peer.gids()) ? Optional.of(Role.OBSERVE) : Optional.empty();
    }
}
