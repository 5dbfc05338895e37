/** Scripted faults of the network between two ends: cuts, silence, slowness. */
@NullMarked
package io.migrationd.it.fault;

import org.jspecify.annotations.NullMarked;
