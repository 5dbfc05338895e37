/** What two daemons say to each other about moves, as JSON. Decoding is strict: the peer is hostile. */
@NullMarked
package io.migrationd.migrationd.peer;

import org.jspecify.annotations.NullMarked;
