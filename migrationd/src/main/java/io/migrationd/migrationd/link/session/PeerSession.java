package io.migrationd.migrationd.link.session;

import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;

/**
 * What two daemons have between them from the first call until one of them ends or closes it, over any number of
 * connections. Any thread may call; all that is told comes on the session's own thread, one thing after the other.
 */
public interface PeerSession extends AutoCloseable {
    /** Most bytes of one message. */
    int MAX_MESSAGE_BYTES = ControlRecordCodec.MAX_MESSAGE_BYTES;

    /** Most bytes of messages that the peer has not taken yet. */
    int MAX_QUEUED_BYTES = 4 << 20;

    /** Chosen by who dials. */
    UUID id();

    /** The peer's host: with TLS the name of its certificate. Before the first connection the name that was dialed. */
    String peerHost();

    /** Which start of the peer's daemon this session is with. Before the first connection all zero. */
    UUID peerIncarnation();

    /** When the certificate of the peer ends; empty without TLS and before the first connection. */
    Optional<Instant> peerCertificateExpires();

    /** How the connection is. */
    LinkHealth health();

    /** {@code told} hears when the connection breaks and when it stands again. */
    void onHealth(Consumer<LinkHealth> told);

    /** Waits until the session has its first connection; says whether it stands. */
    boolean awaitUp(Duration deadline) throws InterruptedException;

    /**
     * Sends a message. It arrives once, in order, as soon as there is a connection.
     *
     * @throws IOException the session is over, or {@link #MAX_QUEUED_BYTES} wait already
     */
    void send(byte[] message) throws IOException;

    /** {@code told} gets the messages of the peer; those that came before wait for it. */
    void onMessage(Consumer<byte[]> told);

    /**
     * {@code told} hears once why the session is over: the peer's daemon was started anew, has said goodbye, or
     * {@link #close} was called. Nothing of it comes back.
     */
    void onLost(Consumer<String> told);

    /** Says goodbye and ends. Does not wait for messages that are under way. */
    @Override
    void close();
}
