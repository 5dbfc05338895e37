/** Parallel channels: the hello that opens one, and the packets that carry pages or device state over it. */
@NullMarked
package io.migrationd.protocol.multifd;

import org.jspecify.annotations.NullMarked;
