package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.outgoing.OutgoingStatus.Event;
import io.migrationd.migrationd.session.StreamPings;
import java.io.IOException;
import java.time.Duration;
import java.util.concurrent.TimeoutException;

/**
 * The way from precopy to postcopy: the guest stops here and starts at the destination. Everything up to the last byte
 * of the package is at the destination before the right to run is given up; every failure before leaves the guest here.
 * Migration thread.
 */
final class PostcopySwitch {
    private final OutgoingParts parts;
    private final Postcopy postcopy;
    private final SourceConnection connection;
    private final Dialer dialer;
    private final PostcopyStream stream;

    PostcopySwitch(OutgoingParts parts, Postcopy postcopy, Dialer dialer, SourceConnection connection) {
        this.parts = parts;
        this.dialer = dialer;
        this.postcopy = postcopy;
        this.connection = connection;
        this.stream = new PostcopyStream(connection.out(), postcopy.request().ramSectionId());
    }

    /**
     * Everything that may fail while the guest is still ours, and the release.
     *
     * @return the package, whose last byte has not been sent
     */
    byte[] prepare() throws IOException, InterruptedException {
        if (postcopy.isPreempting() && connection.urgent().isEmpty()) {
            // A destination takes its first connection for the main one: the answer says that it has that.
            awaitPong(StreamPings.START);
            dialer.connectUrgent(connection);
        }
        parts.switchover().stopGuest();
        postcopy.ram().beginPostcopy();
        stream.discards(postcopy.pages(), postcopy.request().guest().targetPageSizeBytes());
        stream.ping(StreamPings.DISCARDED);
        parts.timeline().lastPassSent();
        byte[] blob = PostcopyStream.packageOf(
                PrecopyStream.devicesOf(postcopy.request().guest()));
        awaitPong(StreamPings.DISCARDED);
        connection.main().deadPeerTimeout(postcopy.request().recovery().deadPeerMillis());
        stream.packageWithoutLastByte(blob);
        parts.timeline().devicesSent();
        parts.state().releaseForPostcopy(postcopy.request().release());
        parts.state().transition(Event.HAND_OVER);
        return blob;
    }

    /** The destination can start the guest from here on. */
    void handOver(byte[] blob) throws IOException {
        stream.lastByteOfPackage(blob);
        parts.timeline().handedOver();
    }

    private void awaitPong(int value) throws IOException, InterruptedException {
        long millis = postcopy.request().replyTimeoutMillis();
        try {
            connection.replies().awaitPong(value, Duration.ofMillis(millis));
        } catch (TimeoutException e) {
            throw new IOException("the destination has not answered PING %d within %d ms".formatted(value, millis), e);
        }
    }
}
