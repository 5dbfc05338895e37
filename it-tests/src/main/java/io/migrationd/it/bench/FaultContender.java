package io.migrationd.it.bench;

/** One of the kinds whose faults are timed. */
interface FaultContender {
    /** Key in the report. */
    String name();

    /** Touches the memory of a guest while it comes. */
    FaultSample run() throws Exception;
}
