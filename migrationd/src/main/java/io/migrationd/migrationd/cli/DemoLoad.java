package io.migrationd.migrationd.cli;

import java.util.ArrayList;
import java.util.List;

/** What the demo's guest does: writes per second to pages chosen by a pattern. */
record DemoLoad(long ramBytes, long rate, String pattern) {
    /** Of a sample guest that runs, or one that waits for it. */
    List<String> options(String name, boolean incoming) {
        List<String> options = new ArrayList<>(List.of(
                "--name", name, "--ram", Long.toString(ramBytes), "--rate", Long.toString(rate), "--pattern", pattern));
        if (incoming) {
            options.add("--incoming");
        }
        return options;
    }
}
