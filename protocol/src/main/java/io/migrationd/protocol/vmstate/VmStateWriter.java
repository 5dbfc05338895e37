package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.WireWriter;

/** Where an instance goes: its bytes, and the description of what was written. */
record VmStateWriter(WireWriter out, JsonText json) {}
