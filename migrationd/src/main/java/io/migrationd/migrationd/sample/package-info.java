/**
 * Guests that prove their own migration: they write their RAM all the time and can tell, wherever they go on, whether
 * every page is whole and the newest. The sample guest speaks docs/guest-protocol.md and is the model for a VMM's side
 * of it; the boot guest is a firmware image that does the same inside QEMU.
 */
@NullMarked
package io.migrationd.migrationd.sample;

import org.jspecify.annotations.NullMarked;
