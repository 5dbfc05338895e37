/**
 * Real peers as child processes: QEMU of several versions and our own daemon, both driven by the same QMP client.
 * Everything here has a deadline and ends only processes that it started.
 */
@NullMarked
package io.migrationd.it.peer;

import org.jspecify.annotations.NullMarked;
