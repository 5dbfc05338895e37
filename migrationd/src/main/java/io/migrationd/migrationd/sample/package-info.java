/**
 * A guest that proves its own migration: it writes its RAM all the time and can tell, wherever it goes on, whether
 * every page is whole and the newest. It speaks docs/guest-protocol.md and is the model for a VMM's side of it.
 */
@NullMarked
package io.migrationd.migrationd.sample;

import org.jspecify.annotations.NullMarked;
