package io.migrationd.migrationd.relay.netty;

import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.Transport;
import io.migrationd.migrationd.link.session.ChannelKind;
import io.migrationd.migrationd.link.session.ChannelSpec;
import io.migrationd.migrationd.link.session.LinkHealth;
import io.migrationd.migrationd.link.session.PeerChannel;
import io.migrationd.migrationd.link.session.PeerChannels;
import io.migrationd.migrationd.relay.Relay;
import io.migrationd.migrationd.relay.RelayPlan;
import io.migrationd.migrationd.relay.RelayStatus.Side;
import io.migrationd.migrationd.relay.StreamTap;
import io.netty.bootstrap.ServerBootstrap;
import io.netty.channel.Channel;
import io.netty.channel.ChannelFuture;
import io.netty.channel.ChannelInitializer;
import io.netty.channel.ChannelOption;
import io.netty.util.concurrent.ScheduledFuture;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Takes the connections of the source's QEMU, finds out which is which, and opens their channels main first. */
final class SourceRelay extends BasicRelay {
    private static final int MAIN_MAGIC = 0x5145_564D;
    private static final int RECOVERY_COMMAND = 0x08;
    private static final int MULTIFD_MAGIC = 0x1122_3344;
    private static final int MAGIC_BYTES = 4;

    /** A multifd connection says its name at once; who has said nothing after so long is the preempt connection. */
    private static final long SILENT_MILLIS = 100;

    private static final long MEASURE_MILLIS = 200;
    private static final long LEAST_MULTIFD_BYTES = 128 * 1024;

    // Event loop.
    private final List<Joint> unknown = new ArrayList<>();
    /** Known to be multifd, while main is not here. */
    private final List<Joint> early = new ArrayList<>();

    private @Nullable Channel server;
    private @Nullable ScheduledFuture<?> measuring;
    private int multifdCount;
    private boolean preemptKnown;
    private boolean waitingForNames;
    private long fixedWindow;

    private SourceRelay(PeerChannels session, RelayPlan plan) {
        super(session, plan, Side.SOURCE_QEMU);
    }

    static SourceRelay listen(PeerChannels session, RelayPlan plan) throws IOException {
        SourceRelay relay = new SourceRelay(session, plan);
        MigrationUri uri = new MigrationUri.Unix(plan.socket().toString());
        Transport.removeStaleSocket(uri);
        ChannelFuture bound = new ServerBootstrap()
                .group(session.loop())
                .channel(Transport.serverClass(uri))
                .option(ChannelOption.SO_BACKLOG, plan.multifdChannels() + 4)
                .childHandler(new ChannelInitializer<>() {
                    @Override
                    protected void initChannel(Channel channel) {
                        relay.accepted(channel);
                    }
                })
                .bind(Transport.address(uri))
                .awaitUninterruptibly();
        if (!bound.isSuccess()) {
            throw new IOException("can't listen for QEMU at " + uri, bound.cause());
        }
        session.loop().execute(() -> relay.started(bound.channel()));
        return relay;
    }

    private void started(Channel listening) {
        server = listening;
        measuring = loop().scheduleWithFixedDelay(this::measure, MEASURE_MILLIS, MEASURE_MILLIS, TimeUnit.MILLISECONDS);
        if (isOver()) {
            over();
        }
    }

    private void accepted(Channel channel) {
        int expected = 1 + plan().multifdChannels() + (plan().preempt() ? 1 : 0);
        if (isOver() || joints().size() + unknown.size() + early.size() >= expected) {
            countRefused("more connections than the %d expected".formatted(expected));
            var _ = channel.close();
            return;
        }
        Joint joint = new Joint(this);
        unknown.add(joint);
        joint.configure(channel);
        findPreempt();
    }

    @Override
    public void early(Joint joint) {
        if (unknown.contains(joint) && !isOver()) {
            classify(joint);
        }
    }

    private void classify(Joint joint) {
        if (joint.earlyBytes() == 0) {
            return;
        }
        int first = joint.earlyByte(0);
        if (first == RECOVERY_COMMAND) {
            openMain(joint);
        } else if (first == MAIN_MAGIC >>> 24 || first == MULTIFD_MAGIC >>> 24) {
            if (joint.earlyBytes() >= MAGIC_BYTES) {
                int magic = 0;
                for (int i = 0; i < MAGIC_BYTES; i++) {
                    magic = magic << 8 | joint.earlyByte(i);
                }
                classify(joint, magic);
            }
        } else {
            findPreempt();
        }
    }

    private void classify(Joint joint, int magic) {
        if (magic == MAIN_MAGIC) {
            openMain(joint);
        } else if (magic == MULTIFD_MAGIC) {
            takeMultifd(joint);
        } else {
            refuse(joint, "begins with %08x".formatted(magic));
        }
    }

    private void openMain(Joint joint) {
        if (main().isPresent()) {
            refuse(joint, "a second main connection");
            return;
        }
        unknown.remove(joint);
        joint.scanWrite(shut());
        joint.taps(plan().taps().main().get(), plan().taps().returnPath().get());
        addMain(joint);
        open(joint, ChannelKind.MAIN, 0);
        for (Joint multifd : List.copyOf(early)) {
            openMultifd(multifd);
        }
        early.clear();
        findPreempt();
    }

    private void takeMultifd(Joint joint) {
        if (multifdCount + early.size() >= plan().multifdChannels()) {
            refuse(joint, "a multifd connection beyond the %d expected".formatted(plan().multifdChannels()));
            return;
        }
        unknown.remove(joint);
        if (main().isPresent()) {
            openMultifd(joint);
            findPreempt();
        } else {
            early.add(joint);
        }
    }

    private void openMultifd(Joint joint) {
        add(joint);
        joint.taps(plan().taps().multifd().get(), StreamTap.NONE);
        open(joint, ChannelKind.MULTIFD, multifdCount++);
    }

    /** The preempt connection is the one that says nothing, and main is known. */
    private void findPreempt() {
        if (!plan().preempt() || preemptKnown || main().isEmpty() || unknown.isEmpty() || isOver()) {
            return;
        }
        if (multifdCount == plan().multifdChannels()) {
            takePreempt();
        } else if (!waitingForNames) {
            waitingForNames = true;
            later(SILENT_MILLIS, () -> {
                waitingForNames = false;
                takePreempt();
            });
        }
    }

    private void takePreempt() {
        for (Joint joint : List.copyOf(unknown)) {
            if (!preemptKnown && !saysItsName(joint)) {
                preemptKnown = true;
                unknown.remove(joint);
                add(joint);
                joint.taps(plan().taps().preempt().get(), StreamTap.NONE);
                open(joint, ChannelKind.PREEMPT, 0);
            }
        }
    }

    private static boolean saysItsName(Joint joint) {
        return joint.earlyBytes() > 0
                && (joint.earlyByte(0) == MAIN_MAGIC >>> 24 || joint.earlyByte(0) == MULTIFD_MAGIC >>> 24);
    }

    private void refuse(Joint joint, String why) {
        unknown.remove(joint);
        countRefused(why);
        joint.close();
    }

    private void open(Joint joint, ChannelKind kind, int index) {
        try {
            PeerChannel channel = session().open(new ChannelSpec(kind, plan().move(), plan().attempt(), index), joint);
            channel.window(windowOf(kind, currentWindow()));
            channel.bulk(isBulk());
            joint.join(channel);
        } catch (IOException e) {
            breakAll(Side.SESSION, String.valueOf(e.getMessage()));
        }
    }

    private long currentWindow() {
        return fixedWindow > 0
                ? fixedWindow
                : main().map(Joint::peer).map(PeerChannel::window).orElse(plan().initialWindowBytes());
    }

    private void measure() {
        if (fixedWindow > 0 || isOver() || main().isEmpty()) {
            return;
        }
        LinkHealth health = session().linkHealth();
        if (health.up()) {
            applyWindow(WindowPolicy.window(
                    health.deliveredBytesPerSecond(), plan().downtimeLimitMillis(), health.minRttNanos()));
        }
    }

    private void applyWindow(long bytes) {
        for (Joint joint : joints()) {
            PeerChannel channel = joint.peer();
            if (channel != null) {
                channel.window(windowOf(channel.spec().kind(), bytes));
            }
        }
    }

    /** The pages of a multifd migration are under way on all of its channels at once. */
    private long windowOf(ChannelKind kind, long bytes) {
        return switch (kind) {
            case MAIN -> bytes;
            case MULTIFD -> Math.max(LEAST_MULTIFD_BYTES, bytes / plan().multifdChannels());
            case PREEMPT -> Math.max(RelayPlan.DEFAULT_WINDOW_BYTES, bytes);
        };
    }

    @Override
    public void waiting(Joint joint) {
        throw new IllegalStateException("a channel of the source without socket");
    }

    @Override
    void leftEarly(Joint joint) {
        unknown.remove(joint);
        early.remove(joint);
        joint.close();
    }

    @Override
    void over() {
        for (Joint joint : unknown) {
            joint.close();
        }
        for (Joint joint : early) {
            joint.close();
        }
        unknown.clear();
        early.clear();
        if (measuring != null) {
            measuring.cancel(false);
        }
        if (server != null && server.isOpen()) {
            var _ = server.close();
            Transport.deleteSocket(plan().socket());
        }
    }

    @Override
    public void window(long mainBytes) {
        if (mainBytes < 0) {
            throw new IllegalArgumentException("a window of " + mainBytes + " bytes");
        }
        loop().execute(() -> {
            fixedWindow = mainBytes;
            if (mainBytes != Relay.ADAPTIVE) {
                applyWindow(mainBytes);
            } else {
                measure();
            }
        });
    }
}
