/**
 * Prints a captured stream section by section: the first tool for any wire question. It understands everything that
 * delimits itself and guesses nothing without saying so.
 */
@NullMarked
package io.migrationd.protocol.inspect;

import org.jspecify.annotations.NullMarked;
