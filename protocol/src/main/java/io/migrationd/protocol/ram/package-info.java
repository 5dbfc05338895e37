/** The ram section: block list, page records, deltas, bitmaps and discard lists. Nothing here holds guest memory. */
@NullMarked
package io.migrationd.protocol.ram;

import org.jspecify.annotations.NullMarked;
