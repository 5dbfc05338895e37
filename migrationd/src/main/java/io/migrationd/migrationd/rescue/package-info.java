/**
 * The three rescues of a postcopy that QEMU itself calls lost: drain its paused source into a copy, serve its paused
 * destination from that copy, replace a destination that died before it ran (docs/rescue.md). Speaks no QMP: whoever
 * starts a rescue tells the QEMUs.
 */
@NullMarked
package io.migrationd.migrationd.rescue;

import org.jspecify.annotations.NullMarked;
