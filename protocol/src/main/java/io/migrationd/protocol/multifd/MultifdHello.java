package io.migrationd.protocol.multifd;

import java.util.UUID;

/**
 * First packet of a channel.
 *
 * @param uuid the source's machine, all zero if it has none
 * @param channelId 0 to 255, independent of the order in which channels connect
 */
public record MultifdHello(UUID uuid, int channelId) {}
