/**
 * The command line: {@code migrationctl}, which is a QMP client with manners, and {@code bin/demo}. It knows the daemon
 * only by its control socket, so everything it does any other program can do too.
 */
@NullMarked
package io.migrationd.migrationd.cli;

import org.jspecify.annotations.NullMarked;
