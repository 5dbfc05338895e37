/** The report of a move: what happened, when, for how long and why. Built while it runs, kept as one JSON file. */
@NullMarked
package io.migrationd.migrationd.report;

import org.jspecify.annotations.NullMarked;
