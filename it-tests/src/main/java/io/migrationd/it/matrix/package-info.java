/** One postcopy migration after the other between two real daemons, each over a link that breaks by a script. */
@NullMarked
package io.migrationd.it.matrix;

import org.jspecify.annotations.NullMarked;
