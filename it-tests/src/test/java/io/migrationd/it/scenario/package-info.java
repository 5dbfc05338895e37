/** Scenarios against real peers, and the count of those that were run. */
@NullMarked
package io.migrationd.it.scenario;

import org.jspecify.annotations.NullMarked;
