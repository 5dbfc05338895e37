package io.migrationd.it.fault;

/**
 * A place that was found.
 *
 * @param ordinal which of its kind, from 1 on, over all connections of the link
 * @param offset bytes of its connection and direction before it
 */
record Mark(Place place, int ordinal, long offset) {}
