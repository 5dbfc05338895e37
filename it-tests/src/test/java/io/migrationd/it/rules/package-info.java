/** What may depend on what, as tests: a failing one names the rule that was broken. */
@NullMarked
package io.migrationd.it.rules;

import org.jspecify.annotations.NullMarked;
