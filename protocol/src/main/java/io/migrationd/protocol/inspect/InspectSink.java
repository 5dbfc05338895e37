package io.migrationd.protocol.inspect;

import java.io.IOException;

/** Takes what the inspector finds, in the order of the file. */
@FunctionalInterface
public interface InspectSink {
    /** Called once per item, before the next one is looked for. */
    void accept(InspectItem item) throws IOException;
}
