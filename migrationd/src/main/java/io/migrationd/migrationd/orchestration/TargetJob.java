package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.peer.MoveOrder;
import java.util.UUID;

/**
 * What a target has to know of a move besides the machine's state. Written to the journal once.
 *
 * @param guest the name on this host
 * @param startedAtMillis wall clock
 */
public record TargetJob(UUID id, String guest, MoveOrder order, long startedAtMillis) {}
