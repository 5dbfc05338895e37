package io.migrationd.migrationd.relay.netty;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.Transport;
import io.migrationd.migrationd.link.session.ChannelKind;
import io.migrationd.migrationd.link.session.ChannelReader;
import io.migrationd.migrationd.link.session.PeerChannel;
import io.migrationd.migrationd.link.session.PeerChannels;
import io.migrationd.migrationd.relay.RelayPlan;
import io.migrationd.migrationd.relay.RelayStatus.Side;
import io.migrationd.migrationd.relay.StreamTap;
import io.netty.bootstrap.Bootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelInitializer;
import java.io.IOException;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** Connects the channels of an attempt to the destination's QEMU: main with its first bytes, then the others. */
final class TargetRelay extends BasicRelay {
    /** With fewer in hand a connection that is then given up kills or freezes some versions of QEMU. */
    private static final int LEAST_FIRST_BYTES = 4;

    // Event loop.
    private final Map<ChannelKind, Integer> counts = new HashMap<>();
    private final Set<Joint> connecting = new HashSet<>();
    /** QEMU has main's first bytes. */
    private boolean mainStands;

    private TargetRelay(PeerChannels session, RelayPlan plan) {
        super(session, plan, Side.DESTINATION_QEMU);
    }

    static TargetRelay await(PeerChannels session, RelayPlan plan) {
        TargetRelay relay = new TargetRelay(session, plan);
        Runnable accept = () -> session.accept(plan.move(), plan.attempt(), relay::opened);
        if (session.loop().inEventLoop()) {
            accept.run();
        } else {
            // Who is told now that the relay stands may have the source open a channel before the loop gets to it.
            session.loop().submit(accept).syncUninterruptibly();
        }
        return relay;
    }

    private Optional<ChannelReader> opened(PeerChannel channel) {
        ChannelKind kind = channel.spec().kind();
        int most = switch (kind) {
            case MAIN -> 1;
            case MULTIFD -> plan().multifdChannels();
            case PREEMPT -> plan().preempt() ? 1 : 0;
        };
        int count = counts.merge(kind, 1, Integer::sum);
        if (isOver() || count > most || (kind != ChannelKind.MAIN && main().isEmpty())) {
            countRefused("a %s channel, number %d of %d".formatted(kind, count, most));
            return Optional.empty();
        }
        Joint joint = new Joint(this);
        joint.wait(channel);
        joint.taps(
                kind == ChannelKind.MAIN ? plan().taps().returnPath().get() : StreamTap.NONE,
                switch (kind) {
                    case MAIN -> plan().taps().main().get();
                    case MULTIFD -> plan().taps().multifd().get();
                    case PREEMPT -> plan().taps().preempt().get();
                });
        if (kind == ChannelKind.MAIN) {
            joint.scanRead(shut());
            addMain(joint);
        } else {
            add(joint);
            connectIfDue(joint);
        }
        return Optional.of(joint);
    }

    @Override
    public void waiting(Joint joint) {
        connectIfDue(joint);
    }

    private void connectIfDue(Joint joint) {
        PeerChannel channel = joint.peer();
        if (channel == null || isOver() || connecting.contains(joint)) {
            return;
        }
        boolean due = switch (channel.spec().kind()) {
            case MAIN -> joint.waitingBytes() >= LEAST_FIRST_BYTES;
            case MULTIFD -> mainStands && joint.waitingBytes() >= LEAST_FIRST_BYTES;
            case PREEMPT -> mainStands;
        };
        if (due) {
            connecting.add(joint);
            connect(joint);
        }
    }

    private void connect(Joint joint) {
        MigrationUri uri = new MigrationUri.Unix(plan().socket().toString());
        try {
            new Bootstrap()
                    .group(loop())
                    .channel(Transport.clientClass(uri))
                    .handler(new ChannelInitializer<>() {
                        @Override
                        protected void initChannel(Channel channel) {
                            // Not read before it is connected: what comes must find the channel.
                            joint.configure(channel);
                        }
                    })
                    .connect(Transport.address(uri))
                    .addListener(done -> {
                        if (done.isSuccess()) {
                            connected(joint);
                        } else {
                            breakAll(
                                    Side.DESTINATION_QEMU,
                                    "no connection to %s: %s"
                                            .formatted(uri, done.cause().getMessage()));
                        }
                    });
        } catch (IOException e) {
            breakAll(Side.DESTINATION_QEMU, "no connection to %s: %s".formatted(uri, e.getMessage()));
        }
    }

    private void connected(Joint joint) {
        if (isOver()) {
            joint.close();
            return;
        }
        joint.gatherFirst(LEAST_FIRST_BYTES);
        joint.connected();
        if (main().filter(joint::equals).isPresent()) {
            mainStands = true;
            for (Joint other : joints()) {
                if (other != joint) {
                    connectIfDue(other);
                }
            }
        }
    }

    @Override
    public void early(Joint joint) {
        throw new IllegalStateException("a socket of the target without channel");
    }

    @Override
    void leftEarly(Joint joint) {
        throw new IllegalStateException("a socket of the target without channel");
    }

    @Override
    void over() {
        session().refuse(plan().move(), plan().attempt());
    }

    /** The window belongs to who sends pages. */
    @Override
    public void window(long mainBytes) {
        throw new UnsupportedOperationException("the window is the source's");
    }
}
