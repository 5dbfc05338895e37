/** Guest RAM that arrives while the guest runs. */
@NullMarked
package io.migrationd.postcopy;

import org.jspecify.annotations.NullMarked;
