package io.migrationd.it.bench;

/** One of the kinds that take turns. */
interface Contender extends AutoCloseable {
    /** Key in the report. */
    String name();

    /** One copy of the RAM. */
    Sample run() throws Exception;

    @Override
    void close();
}
