package io.migrationd.protocol.stream;

/**
 * A configuration and where its parts lie in the stream, for the messages of {@link ConfigurationCheck}. The offset of
 * a part that was not sent is the end of the section.
 */
public record ReceivedConfiguration(
        Configuration configuration,
        long machineTypeOffset,
        long targetPageBitsOffset,
        long capabilitiesOffset,
        long uuidOffset) {}
