/**
 * The envelope of the stream: header, configuration, sections, commands, end and description. Contents of sections live
 * elsewhere.
 */
@NullMarked
package io.migrationd.protocol.stream;

import org.jspecify.annotations.NullMarked;
