/**
 * Test guests that tests alone use: Debian's kernel with a program of ours, which keeps checksummed pages, watches the
 * clock and answers TCP. The guest that is its own firmware is {@code migrationd}'s BootGuest.
 */
@NullMarked
package io.migrationd.it.guest;

import org.jspecify.annotations.NullMarked;
