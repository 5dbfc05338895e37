package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;

/** Finds the end of a section's body by its description and keeps the bytes as they are. */
public final class VmStateWalker {
    private VmStateWalker() {}

    /** As {@link #readBody(VmStateDescription, StreamReader, int, VmStateLimits)} with the default limits. */
    public static byte[] readBody(VmStateDescription<DynamicState> description, StreamReader in, int version)
            throws IOException {
        return readBody(description, in, version, VmStateLimits.DEFAULT);
    }

    /**
     * Reads one body whose section announced {@code version}. Values are not compared with local ones: there are none.
     *
     * @throws io.migrationd.protocol.wire.ProtocolException if the bytes don't fit the description
     */
    public static byte[] readBody(
            VmStateDescription<DynamicState> description, StreamReader in, int version, VmStateLimits limits)
            throws IOException {
        WireWriter body = new WireWriter();
        VmStateCodec.load(description, new DynamicState(), version, VmStateReader.walking(in, limits, body));
        return body.toByteArray();
    }
}
