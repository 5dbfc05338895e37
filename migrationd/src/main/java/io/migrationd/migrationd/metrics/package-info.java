/** What the daemon counts, and the page that shows it. Meters are named in one class, served at loopback only. */
@NullMarked
package io.migrationd.migrationd.metrics;

import org.jspecify.annotations.NullMarked;
