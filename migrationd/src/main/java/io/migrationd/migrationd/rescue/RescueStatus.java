package io.migrationd.migrationd.rescue;

import java.util.Optional;

/**
 * One look at a rescue.
 *
 * @param donePages guest pages that are where they should go
 * @param totalPages guest pages of all blocks
 * @param error what went wrong last; empty if all is well
 * @param inDoubt the other side has had all but the last message, and is not known to have got or heard that. Drain: a
 *     source QEMU of 10.0 and later may run its old copy, and has to be killed before the guest runs elsewhere.
 *     Replace: the new QEMU may hold the whole guest
 */
public record RescueStatus(
        RescueState state, long donePages, long totalPages, Optional<String> error, boolean inDoubt) {}
