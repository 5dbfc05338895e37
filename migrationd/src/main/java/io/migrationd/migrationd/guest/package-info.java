/** A guest as the engines see it, whatever runs it. The kinds live in packages of their own. */
@NullMarked
package io.migrationd.migrationd.guest;

import org.jspecify.annotations.NullMarked;
