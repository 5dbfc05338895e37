/** The destination engine: loader, RAM receiver, commands. */
@NullMarked
package io.migrationd.migrationd.incoming;

import org.jspecify.annotations.NullMarked;
