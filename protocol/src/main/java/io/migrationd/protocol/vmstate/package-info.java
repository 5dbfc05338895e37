/**
 * Device state as VMState descriptions: what a section's bytes mean, how they are written, read and described. Opaque
 * sections are split here too.
 */
@NullMarked
package io.migrationd.protocol.vmstate;

import org.jspecify.annotations.NullMarked;
