package io.migrationd.migrationd.guest;

import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;

/** What a guest knows of one of its device sections: enough to find its end and to refuse what does not fit. */
public interface DeviceFormat {
    /** The section's name. */
    String idstr();

    /** Its number among sections of that name. */
    int instanceId();

    /** The newest version that the guest can load. */
    int version();

    /** The oldest version that the guest can load. */
    int minimumVersion();

    /**
     * Reads one body of the given version and returns its bytes unchanged.
     *
     * @throws io.migrationd.protocol.wire.ProtocolException if the bytes do not fit the format
     */
    byte[] readBody(StreamReader in, int version) throws IOException;
}
