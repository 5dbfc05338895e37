/** The daemon: wiring, start order and stop order. */
@NullMarked
package io.migrationd.migrationd;

import org.jspecify.annotations.NullMarked;
