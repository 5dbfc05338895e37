package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.peer.PeerWord;
import io.migrationd.migrationd.peer.PeerWordCodec;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArraySet;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The source's line to the daemon of another host: a session, and after its end (the peer was started anew) the next
 * one. Shared by all moves to that host. Any thread.
 */
final class PeerLine implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(PeerLine.class);
    private static final long REDIAL_MILLIS = 200;

    /** Makes a session that dials until it stands or is closed. */
    interface Dialing {
        PeerSession dial(String name, List<MigrationUri> addresses) throws IOException;
    }

    /** Who uses the line. Called by the session's thread: must not block. */
    interface User {
        /** A session with another incarnation of the peer stands; what was under way in the old one is lost. */
        void sessionReset(PeerSession session);

        void heard(PeerWord word);
    }

    private final String name;
    private final List<MigrationUri> addresses;
    private final Dialing dialing;
    private final ScheduledExecutorService timer;
    private final Set<User> users = new CopyOnWriteArraySet<>();
    // Guarded by this.
    private @Nullable PeerSession session;
    private boolean announced;
    private boolean closed;

    PeerLine(String name, List<MigrationUri> addresses, Dialing dialing, ScheduledExecutorService timer) {
        this.name = name;
        this.addresses = List.copyOf(addresses);
        this.dialing = dialing;
        this.timer = timer;
    }

    String name() {
        return name;
    }

    List<MigrationUri> addresses() {
        return addresses;
    }

    /** Begins to dial. */
    synchronized void open() throws IOException {
        if (closed || session != null) {
            return;
        }
        PeerSession made = dialing.dial(name, addresses);
        session = made;
        announced = false;
        made.onHealth(health -> healthChanged(made, health));
        made.onMessage(bytes -> heard(made, bytes));
        made.onLost(why -> lost(made, why));
        if (made.health().up()) {
            healthChanged(made, made.health());
        }
    }

    /** Waits until there is a session; says whether. */
    boolean awaitUp(Duration deadline) {
        PeerSession now = current();
        try {
            return now != null && now.awaitUp(deadline);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return false;
        }
    }

    private void healthChanged(PeerSession of, LinkHealth health) {
        synchronized (this) {
            if (isOther(of) || !health.up() || announced) {
                return;
            }
            announced = true;
        }
        log.atInfo()
                .addKeyValue("peer", of.peerHost())
                .addKeyValue("incarnation", of.peerIncarnation())
                .log("session stands");
        users.forEach(user -> user.sessionReset(of));
    }

    private void heard(PeerSession of, byte[] bytes) {
        synchronized (this) {
            if (isOther(of)) {
                return;
            }
        }
        try {
            PeerWord word = PeerWordCodec.decode(bytes);
            users.forEach(user -> user.heard(word));
        } catch (ProtocolException e) {
            log.atError().addKeyValue("peer", name).setCause(e).log("the peer's message is not understood; ignored");
        }
    }

    private void lost(PeerSession of, String why) {
        synchronized (this) {
            if (isOther(of)) {
                return;
            }
            session = null;
            if (closed) {
                return;
            }
        }
        log.atWarn().addKeyValue("peer", name).addKeyValue("reason", why).log("session lost; dialing for a new one");
        redial();
    }

    /** A session is itself only; the caller holds the lock. */
    @SuppressWarnings("ReferenceEquality")
    private boolean isOther(PeerSession of) {
        return of != session;
    }

    private void redial() {
        var _ = timer.schedule(
                () -> {
                    try {
                        open();
                    } catch (IOException e) {
                        log.atWarn().addKeyValue("peer", name).setCause(e).log("no session");
                        redial();
                    }
                },
                REDIAL_MILLIS,
                TimeUnit.MILLISECONDS);
    }

    /** A user that comes while a session stands is told of it at once. */
    void join(User user, boolean tellOfSession) {
        PeerSession standing;
        synchronized (this) {
            users.add(user);
            standing = announced ? session : null;
        }
        if (tellOfSession && standing != null) {
            user.sessionReset(standing);
        }
    }

    void leave(User user) {
        users.remove(user);
    }

    boolean isUnused() {
        return users.isEmpty();
    }

    synchronized @Nullable PeerSession current() {
        return session;
    }

    Optional<LinkHealth> health() {
        return Optional.ofNullable(current()).map(PeerSession::health);
    }

    /** Sends, or drops where there is no session: the next one begins with questions. */
    void send(PeerWord word) {
        PeerSession now = current();
        if (now == null) {
            return;
        }
        try {
            now.send(PeerWordCodec.encode(word));
        } catch (IOException e) {
            log.atWarn().addKeyValue("peer", name).setCause(e).log("message not sent");
        }
    }

    @Override
    public void close() {
        PeerSession now;
        synchronized (this) {
            closed = true;
            now = session;
            session = null;
        }
        if (now != null) {
            now.close();
        }
    }
}
