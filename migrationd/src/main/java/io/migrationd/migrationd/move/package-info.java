/**
 * Moves of QEMU guests between two daemons: who owns the guest, and what each daemon does next. The two machines are
 * pure functions from state and event to state and actions; they do no input or output and know no clock.
 */
@NullMarked
package io.migrationd.migrationd.move;

import org.jspecify.annotations.NullMarked;
