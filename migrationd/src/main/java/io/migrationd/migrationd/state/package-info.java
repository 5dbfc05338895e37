/**
 * The registry of what a stream carries for one guest: names, instances, aliases, versions, priorities and who saves or
 * loads each.
 */
@NullMarked
package io.migrationd.migrationd.state;

import org.jspecify.annotations.NullMarked;
