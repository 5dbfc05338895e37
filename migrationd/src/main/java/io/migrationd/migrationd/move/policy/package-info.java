/**
 * What to do about a precopy migration that may not end by itself: a pure state machine that is shown QEMU's counters
 * and the link, and answers with decisions and their reasons. It asks no clock and talks to nobody.
 */
@NullMarked
package io.migrationd.migrationd.move.policy;

import org.jspecify.annotations.NullMarked;
