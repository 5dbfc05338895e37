/**
 * Channels between daemons and to QEMU: connect, accept, bounded buffers in both directions, cut detection. Netty stays
 * in here.
 */
@NullMarked
package io.migrationd.migrationd.link;

import org.jspecify.annotations.NullMarked;
