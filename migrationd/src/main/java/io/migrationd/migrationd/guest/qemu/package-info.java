/**
 * Guests that a QEMU runs: their definitions, the QEMU behind each as typed operations over QMP, the process that waits
 * for one at the destination, and what must hold before one is moved.
 */
@NullMarked
package io.migrationd.migrationd.guest.qemu;

import org.jspecify.annotations.NullMarked;
