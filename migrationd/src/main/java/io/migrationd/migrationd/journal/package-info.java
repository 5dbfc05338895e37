/** The durable record of who owns a guest. The journal of steps under way comes with orchestration. */
@NullMarked
package io.migrationd.migrationd.journal;

import org.jspecify.annotations.NullMarked;
