/** The only native calls of the project, one method per call. Everything else in the project is plain Java. */
@NullMarked
package io.migrationd.postcopy.os;

import org.jspecify.annotations.NullMarked;
