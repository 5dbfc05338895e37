package io.migrationd.migrationd.guest;

import org.jspecify.annotations.Nullable;

/**
 * One device's state as a section carries it.
 *
 * @param idstr the section's name on the wire, for example {@code 0000:00:01.1/ide}
 * @param instanceId number among sections of that name
 * @param version version of the content
 * @param body the section's bytes without header and footer
 * @param description the device object of the vmdescription as JSON text, {@code null} when there is none
 */
public record DeviceSection(
        String idstr,
        int instanceId,
        int version,
        byte[] body,
        @Nullable String description) {}
