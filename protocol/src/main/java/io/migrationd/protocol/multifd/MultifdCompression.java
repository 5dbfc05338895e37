package io.migrationd.protocol.multifd;

/** How the payload of a packet with pages is packed. Both ends are configured alike; it is not negotiated. */
public enum MultifdCompression {
    NONE,
    ZLIB,
    ZSTD,
    QPL,
    UADK,
    QATZIP
}
