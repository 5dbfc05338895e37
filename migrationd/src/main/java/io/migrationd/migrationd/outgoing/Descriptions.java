package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.protocol.vmstate.VmDescriptionWriter;
import java.util.List;
import java.util.Optional;

/** The description that follows the stream: what the sections came with, else their bare size. */
final class Descriptions {
    private Descriptions() {}

    static String of(int pageSizeBytes, List<DeviceSection> devices) {
        return VmDescriptionWriter.document(
                Optional.empty(),
                pageSizeBytes,
                devices.stream().map(Descriptions::describe).toList());
    }

    private static String describe(DeviceSection device) {
        String own = device.description();
        return own != null
                ? own
                : VmDescriptionWriter.opaque(device.idstr(), device.instanceId(), device.body().length);
    }
}
