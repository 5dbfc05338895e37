/**
 * Runs moves of QEMU guests: the machines of {@code move} decide, the drivers here do what they say with QEMU, the
 * peer's daemon, the journal and the byte path.
 */
@NullMarked
package io.migrationd.migrationd.orchestration;

import org.jspecify.annotations.NullMarked;
