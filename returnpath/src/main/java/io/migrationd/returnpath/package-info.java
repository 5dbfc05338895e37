/**
 * Everything that flows from the destination of a migration back to its source: messages, codec, the source's
 * dispatcher, the destination's sender.
 */
@NullMarked
package io.migrationd.returnpath;

import org.jspecify.annotations.NullMarked;
