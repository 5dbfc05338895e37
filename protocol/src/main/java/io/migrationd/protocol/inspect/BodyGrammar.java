package io.migrationd.protocol.inspect;

import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;

/** A section body that says itself where it ends. One object reads all bodies of a section. */
interface BodyGrammar {
    /** Reads one body to its last byte. */
    void walk(StreamReader in, BodyReport report) throws IOException;
}
