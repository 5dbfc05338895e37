package io.migrationd.migrationd.link.session;

/** What channel 0 carries: messages between the daemons, and what happens to the other channels. */
sealed interface ControlRecord {
    /** A message of the daemon. */
    record Message(byte[] content) implements ControlRecord {}

    /** The sender of this opens a channel. */
    record Open(int channel, ChannelSpec spec) implements ControlRecord {}

    /** The sender of this sends {@code length} bytes on this channel in all, and no more. */
    record End(int channel, long length) implements ControlRecord {}

    /** The channel is broken; both directions end here. */
    record Reset(int channel, String reason) implements ControlRecord {}

    /** All bytes of the other's direction were delivered, up to its {@link End}. */
    record Delivered(int channel) implements ControlRecord {}
}
