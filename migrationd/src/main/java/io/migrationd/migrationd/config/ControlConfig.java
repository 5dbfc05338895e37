package io.migrationd.migrationd.config;

/**
 * The control sockets.
 *
 * @param observe who may ask
 * @param operate who may also migrate, stop and continue guests
 * @param administer who may also create and remove guests; root and the daemon's own uid always may
 * @param socketMode permission bits of each socket file
 * @param maxClients connections at a time, over all sockets; a few more are kept free for administrators
 * @param maxMessageBytes of one message of a client
 * @param maxOutgoingBytes queued for a client that does not read, before it is disconnected
 */
public record ControlConfig(
        Accounts observe,
        Accounts operate,
        Accounts administer,
        int socketMode,
        int maxClients,
        int maxMessageBytes,
        int maxOutgoingBytes) {}
