/** Guest RAM as blocks over file descriptors, which pages are dirty, which were received. */
@NullMarked
package io.migrationd.postcopy.memory;

import org.jspecify.annotations.NullMarked;
