/**
 * Parsers that watch the channels of a relayed migration while the bytes pass: they are handed each piece as it goes by
 * and find out what it means, without touching page bodies and without ever holding anything up. What they cannot parse
 * is carried on all the same; they say so, and count it.
 */
@NullMarked
package io.migrationd.migrationd.relay.tap;

import org.jspecify.annotations.NullMarked;
