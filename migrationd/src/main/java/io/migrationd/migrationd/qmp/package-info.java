/**
 * QMP from the client's side: one connection that any thread may use, and JSON as plain values on Jackson's streaming
 * core. The daemon speaks it to QEMUs, {@code migrationctl} to the daemon.
 */
@NullMarked
package io.migrationd.migrationd.qmp;

import org.jspecify.annotations.NullMarked;
