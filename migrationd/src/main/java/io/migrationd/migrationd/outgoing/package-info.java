/** The source engine: migration thread, RAM sender, convergence, switchover. */
@NullMarked
package io.migrationd.migrationd.outgoing;

import org.jspecify.annotations.NullMarked;
