package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.node.ObjectNode;

/** What the greeting and {@code query-version} say. */
final class Version {
    /** The QEMU whose names, defaults and error texts we follow. Clients decide by the schema, not by this. */
    private static final int MAJOR = 10;

    private Version() {}

    static ObjectNode json(DaemonFacts facts) {
        ObjectNode version = Json.object();
        version.putObject("qemu").put("micro", 0).put("minor", 0).put("major", MAJOR);
        return version.put("package", "migrationd " + facts.version());
    }

    static ObjectNode greeting(DaemonFacts facts) {
        ObjectNode greeting = Json.object();
        ObjectNode qmp = greeting.putObject("QMP");
        qmp.set("version", json(facts));
        qmp.putArray("capabilities").add("oob");
        return greeting;
    }
}
