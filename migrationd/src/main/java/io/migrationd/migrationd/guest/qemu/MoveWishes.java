package io.migrationd.migrationd.guest.qemu;

import java.time.Instant;
import java.util.Optional;
import java.util.UUID;

/**
 * What is asked of a move, and what the source's daemon knows of the way.
 *
 * @param uuid of the source's definition
 * @param daemonVersion of the source's migrationd
 * @param linkProblem why the other daemon cannot be reached, if it cannot
 * @param certificateExpires the earlier end of both daemons' certificates, if the link has any
 */
public record MoveWishes(
        String guest,
        UUID uuid,
        MoveDefaults move,
        String daemonVersion,
        Optional<String> linkProblem,
        Optional<Instant> certificateExpires,
        Instant now) {}
