/**
 * What both ends of a migration share: status, capabilities, parameters, counters. Engines write them, control shows
 * them.
 */
@NullMarked
package io.migrationd.migrationd.session;

import org.jspecify.annotations.NullMarked;
