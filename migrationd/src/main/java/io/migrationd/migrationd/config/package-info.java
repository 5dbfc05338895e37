/** The daemon's configuration: one immutable record tree, built once, each value with where it came from. */
@NullMarked
package io.migrationd.migrationd.config;

import org.jspecify.annotations.NullMarked;
