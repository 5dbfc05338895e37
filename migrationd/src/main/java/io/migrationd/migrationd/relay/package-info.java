/**
 * One end of the byte path of a QEMU guest's move: a QEMU's Unix sockets joined to channels of the session with the
 * other host's daemon, by the rules of docs/moves.md §4.
 */
@NullMarked
package io.migrationd.migrationd.relay;

import org.jspecify.annotations.NullMarked;
