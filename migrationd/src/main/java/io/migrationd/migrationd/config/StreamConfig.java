package io.migrationd.migrationd.config;

/**
 * The migration stream.
 *
 * @param listenBeyondLoopback whether an incoming migration may listen at other than loopback and Unix addresses; false
 *     until mutual TLS stands
 */
public record StreamConfig(boolean listenBeyondLoopback) {}
