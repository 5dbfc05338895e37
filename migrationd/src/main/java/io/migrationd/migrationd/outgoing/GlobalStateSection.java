package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.protocol.vmstate.GlobalState;
import io.migrationd.protocol.vmstate.VmDescriptionWriter;
import java.util.Optional;

/** The section that tells the destination what the guest did before the migration stopped it. */
final class GlobalStateSection {
    private GlobalStateSection() {}

    static DeviceSection of(RunState before) {
        VmDescriptionWriter.Saved saved = new GlobalState(before.qmpName(), Optional.empty()).encode();
        return new DeviceSection(GlobalState.SECTION, 0, GlobalState.VERSION, saved.body(), saved.json());
    }
}
