/**
 * The session between two daemons: one connection that survives cuts. Bytes of its channels are kept until the far end
 * has delivered them, and come once and in order whatever happens to the connection; docs/peer-protocol.md has the
 * wire.
 */
@NullMarked
package io.migrationd.migrationd.link.session;

import org.jspecify.annotations.NullMarked;
