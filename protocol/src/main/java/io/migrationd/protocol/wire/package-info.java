/**
 * Cursors over the bytes of a stream that know their absolute offset, and the error that names it. Everything is
 * big-endian.
 */
@NullMarked
package io.migrationd.protocol.wire;

import org.jspecify.annotations.NullMarked;
