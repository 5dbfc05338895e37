/** Relays over Netty: all of a relay happens on the event loop of its session. */
@NullMarked
package io.migrationd.migrationd.relay.netty;

import org.jspecify.annotations.NullMarked;
