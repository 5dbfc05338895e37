/** The control sockets: QMP's framing and names, mapped to typed calls. JSON ends here. */
@NullMarked
package io.migrationd.migrationd.control;

import org.jspecify.annotations.NullMarked;
