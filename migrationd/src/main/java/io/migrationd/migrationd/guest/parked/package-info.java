/**
 * Parked guests: no process, RAM in sparse files and device sections in a record, kept across restarts of the daemon.
 * Any peer can migrate into one and out of one.
 */
@NullMarked
package io.migrationd.migrationd.guest.parked;

import org.jspecify.annotations.NullMarked;
