package io.migrationd.it.scenario;

import io.migrationd.it.fault.Conduct;
import io.migrationd.it.fault.ScriptedRelay;
import io.migrationd.it.peer.Crossing;
import java.io.IOException;
import java.nio.file.Path;

/** One relay that does what the test says. */
record ScriptedCrossing(ScriptedRelay relay) implements Crossing {
    static ScriptedCrossing between(Path sourceEnd, Path destinationEnd, Conduct conduct) throws IOException {
        return new ScriptedCrossing(ScriptedRelay.start(sourceEnd, destinationEnd, conduct));
    }

    @Override
    public Path sourceEnd() {
        return relay.address();
    }

    @Override
    public String facts() {
        return "relay " + relay.history();
    }

    @Override
    public void close() throws IOException {
        relay.close();
    }
}
