package io.migrationd.migrationd.relay.netty;

import io.migrationd.migrationd.link.session.ChannelKind;
import io.migrationd.migrationd.link.session.PeerChannel;
import io.migrationd.migrationd.link.session.PeerChannels;
import io.migrationd.migrationd.relay.Relay;
import io.migrationd.migrationd.relay.RelayPlan;
import io.migrationd.migrationd.relay.RelayStatus;
import io.migrationd.migrationd.relay.RelayStatus.ChannelStatus;
import io.migrationd.migrationd.relay.RelayStatus.Failure;
import io.migrationd.migrationd.relay.RelayStatus.Side;
import io.migrationd.migrationd.relay.RelayStatus.State;
import io.netty.channel.EventLoop;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** What both ends have in common: state, breaking, and the end in good order. Event loop unless it says other. */
abstract class BasicRelay implements Relay, Joint.Owner {
    private static final Logger log = LoggerFactory.getLogger(BasicRelay.class);

    /** After the end of one connection, until the others follow or a SHUT explains it. */
    private static final long GRACE_MILLIS = 1000;

    /** For the reason of a reset, to tell both ends the same side. */
    private static final String SIDE_END = ": ";

    private final PeerChannels session;
    private final RelayPlan plan;
    private final Side ownQemu;
    private final ShutScanner shut = new ShutScanner();
    private final List<Joint> joints = new CopyOnWriteArrayList<>();
    private final AtomicBoolean changeTold = new AtomicBoolean();
    private @Nullable Joint main;
    private boolean closingOthers;
    private boolean bulk;

    /** Written by the event loop, read by any thread. */
    private volatile State state = State.WAITING;

    private volatile Optional<Failure> failure = Optional.empty();
    private volatile int refused;
    private volatile Consumer<RelayStatus> listener = status -> {};

    BasicRelay(PeerChannels session, RelayPlan plan, Side ownQemu) {
        this.session = session;
        this.plan = plan;
        this.ownQemu = ownQemu;
    }

    final PeerChannels session() {
        return session;
    }

    final EventLoop loop() {
        return session.loop();
    }

    final RelayPlan plan() {
        return plan;
    }

    final ShutScanner shut() {
        return shut;
    }

    final Optional<Joint> main() {
        return Optional.ofNullable(main);
    }

    final List<Joint> joints() {
        return joints;
    }

    final boolean isOver() {
        return state == State.ENDED || state == State.BROKEN;
    }

    final void addMain(Joint joint) {
        main = joint;
        joints.add(joint);
        to(State.OPEN);
    }

    final boolean isBulk() {
        return bulk;
    }

    @Override
    public final void bulk(boolean on) {
        loop().execute(() -> {
            bulk = on;
            for (Joint joint : joints) {
                PeerChannel peer = joint.peer();
                if (peer != null) {
                    peer.bulk(on);
                }
            }
        });
    }

    final void add(Joint joint) {
        joints.add(joint);
    }

    final void countRefused(String why) {
        int before = refused;
        refused = before + 1;
        log.atWarn().addKeyValue("move", plan.move()).addKeyValue("reason", why).log("connection of a QEMU refused");
    }

    private void to(State next) {
        log.atInfo()
                .addKeyValue("move", plan.move())
                .addKeyValue("attempt", plan.attempt())
                .addKeyValue("own", ownQemu)
                .addKeyValue("from", state)
                .addKeyValue("to", next)
                .addKeyValue("reason", failure.map(Failure::reason).orElse(""))
                .log("relay");
        state = next;
        tellChange();
    }

    private void tellChange() {
        if (!changeTold.getAndSet(true)) {
            session.post(() -> {
                changeTold.set(false);
                listener.accept(status());
            });
        }
    }

    /** Ends everything in the middle, at both ends. */
    final void breakAll(Side side, String reason) {
        if (isOver()) {
            return;
        }
        failure = Optional.of(new Failure(side, reason));
        to(State.BROKEN);
        for (Joint joint : joints) {
            joint.breakOff(side + SIDE_END + reason);
        }
        over();
    }

    /** Stops to listen, and drops what has no joint. */
    abstract void over();

    @Override
    public final void inputEnded(Joint joint, String how) {
        if (isOver()) {
            return;
        }
        if (joint.peer() == null) {
            leftEarly(joint);
        } else if (shut.hasShut()) {
            endInput(joint);
        } else if (joint == main) {
            breakAll(ownQemu, "main connection %s in the middle".formatted(how));
        } else {
            // At the end of a migration QEMU closes its other connections shortly before or after SHUT.
            later(() -> {
                if (shut.hasShut()) {
                    endInput(joint);
                } else {
                    breakAll(ownQemu, "%s connection %s in the middle".formatted(kind(joint), how));
                }
            });
        }
    }

    private static String kind(Joint joint) {
        PeerChannel peer = joint.peer();
        return peer == null ? "unknown" : peer.spec().kind().toString().toLowerCase(java.util.Locale.ROOT);
    }

    /** A connection ended before anybody knew what it was. */
    abstract void leftEarly(Joint joint);

    /** In good order: QEMU has closed this connection, so that it needs nothing more of it. */
    private void endInput(Joint joint) {
        joint.endChannel();
        joint.discard();
        progressed(joint);
    }

    @Override
    public final void outputBroken(Joint joint, String how) {
        later(() -> {
            // By now its end of input was seen as well, if QEMU closed in good order.
            if (!joint.hasInputEnded() || !shut.hasShut()) {
                breakAll(ownQemu, "%s connection takes no more bytes (%s)".formatted(kind(joint), how));
            }
        });
    }

    @Override
    public final void progressed(Joint joint) {
        if (isOver()) {
            return;
        }
        if (joint.isIncomingDone() && !joint.hasInputEnded()) {
            // QEMU has all that it can get; it closes by itself as soon as it has read it.
            later(() -> {
                if (!joint.hasInputEnded() && !joint.isClosed()) {
                    joint.endChannel();
                    joint.close();
                    endIfAllDone();
                }
            });
        }
        endIfAllDone();
    }

    private void endIfAllDone() {
        Joint first = main;
        if (isOver() || first == null) {
            return;
        }
        if (first.isIncomingDone() && first.isOutgoingDone() && !closingOthers) {
            closingOthers = true;
            later(this::closeOthers);
        }
        for (Joint joint : joints) {
            if (!joint.isIncomingDone() || !joint.isOutgoingDone()) {
                return;
            }
        }
        joints.forEach(Joint::close);
        to(State.ENDED);
        over();
    }

    /** The main connection is over in good order and some QEMU has forgotten another one. */
    private void closeOthers() {
        for (Joint joint : joints) {
            joint.endChannel();
            joint.discard();
            joint.close();
        }
        endIfAllDone();
    }

    @Override
    public final void reset(Joint joint, String reason) {
        for (Side side : Side.values()) {
            String start = side + SIDE_END;
            if (reason.startsWith(start)) {
                breakAll(side, reason.substring(start.length()));
                return;
            }
        }
        breakAll(Side.SESSION, reason);
    }

    final void later(Runnable action) {
        later(GRACE_MILLIS, action);
    }

    final void later(long millis, Runnable action) {
        var _ = loop().schedule(
                        () -> {
                            if (!isOver()) {
                                action.run();
                            }
                        },
                        millis,
                        TimeUnit.MILLISECONDS);
    }

    // Any thread.

    @Override
    public final RelayStatus status() {
        List<ChannelStatus> channels = new ArrayList<>();
        long window = plan.initialWindowBytes();
        for (Joint joint : joints) {
            ChannelStatus status = joint.status();
            PeerChannel peer = joint.peer();
            if (status != null && peer != null) {
                channels.add(status);
                if (status.kind() == ChannelKind.MAIN) {
                    window = peer.window();
                }
            }
        }
        return new RelayStatus(state, failure, session.linkHealth().up(), window, refused, List.copyOf(channels));
    }

    @Override
    public final void onChange(Consumer<RelayStatus> told) {
        listener = told;
        tellChange();
    }

    @Override
    public final void close() {
        loop().execute(() -> {
            breakAll(Side.DAEMON, "closed by the daemon at the side of " + ownQemu);
            over();
        });
    }
}
