package io.migrationd.protocol.stream;

/**
 * What the section loop is made of. {@code offset} is where the type byte lies; section ids are unsigned 32-bit numbers
 * that mean nothing outside of their stream.
 */
public sealed interface StreamElement {
    /** Stream offset of the type byte. */
    long offset();

    /** First part of an iterable section. */
    record Start(long offset, int sectionId, String idstr, int instanceId, int version) implements StreamElement {}

    /** A complete section. */
    record Full(long offset, int sectionId, String idstr, int instanceId, int version) implements StreamElement {}

    /** A further part of a section that a {@link Start} has introduced. */
    record Part(long offset, int sectionId) implements StreamElement {}

    /** The last part; some sections end more than once, some never. */
    record End(long offset, int sectionId) implements StreamElement {}

    /** A command, complete but for the blob of PACKAGED. */
    record CommandElement(long offset, Command command) implements StreamElement {}

    /** The end of the loop. */
    record EndOfStream(long offset) implements StreamElement {}
}
