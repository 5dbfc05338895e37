package io.migrationd.migrationd.link.session;

import java.util.UUID;

/**
 * What a channel is for.
 *
 * @param move the move it belongs to
 * @param attempt which attempt of this move, from 0
 * @param index number among those of its kind, 0 to 65535
 */
public record ChannelSpec(ChannelKind kind, UUID move, int attempt, int index) {
    /** Checks ranges. */
    public ChannelSpec {
        if (attempt < 0 || index < 0 || index > 0xffff) {
            throw new IllegalArgumentException("attempt %d or index %d out of range".formatted(attempt, index));
        }
    }
}
