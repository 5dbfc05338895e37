/**
 * The durable record of who owns a guest, and of moves under way. Small files for process guests, one SQLite database
 * for moves of QEMU guests.
 */
@NullMarked
package io.migrationd.migrationd.journal;

import org.jspecify.annotations.NullMarked;
