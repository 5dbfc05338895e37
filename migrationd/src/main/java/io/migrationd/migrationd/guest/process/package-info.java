/**
 * Guests whose VMM hands its memory over by the guest socket. The protocol is docs/guest-protocol.md; every peer is
 * taken for hostile until its hello has passed, and for unreliable afterwards.
 */
@NullMarked
package io.migrationd.migrationd.guest.process;

import org.jspecify.annotations.NullMarked;
