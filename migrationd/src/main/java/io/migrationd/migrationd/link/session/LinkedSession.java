package io.migrationd.migrationd.link.session;

import io.migrationd.migrationd.link.session.LinkHealth.Outage;
import io.migrationd.migrationd.link.session.PeerFrame.Ack;
import io.migrationd.migrationd.link.session.PeerFrame.Data;
import io.migrationd.migrationd.link.session.PeerFrame.Goodbye;
import io.migrationd.migrationd.link.session.PeerFrame.Hello;
import io.migrationd.migrationd.link.session.PeerFrame.Ping;
import io.migrationd.migrationd.link.session.PeerFrame.Pong;
import io.migrationd.migrationd.link.session.PeerFrame.Progress;
import io.migrationd.protocol.wire.ProtocolException;
import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import io.netty.channel.EventLoop;
import io.netty.util.concurrent.ScheduledFuture;
import java.io.IOException;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** A session: its channels, its connection of the moment, and what was heard of the peer. State of one event loop. */
final class LinkedSession implements PeerSession, PeerChannels, PeerConnection.Frames {
    private static final Logger log = LoggerFactory.getLogger(LinkedSession.class);
    private static final UUID NOBODY = new UUID(0, 0);

    /** Whoever holds the session: brings connections, and is told when it is over. Event loop. */
    interface Holder {
        void connectionLost();

        void over();
    }

    private record Attempt(UUID move, int number) {}

    private final EventLoop loop;
    private final UUID id;
    private final boolean dialer;
    private final PeerIdentity self;
    private final PeerSettings settings;
    private final Mailbox mailbox;
    private final LinkMeter meter = new LinkMeter(System.nanoTime());
    private final AtomicLong queuedBytes = new AtomicLong();
    private final CountDownLatch firstUp = new CountDownLatch(1);

    /** All channels but the control channel, in the order in which bulk is taken from them. */
    private final Map<Integer, SessionChannel> channels = new LinkedHashMap<>();

    private final Map<Attempt, Acceptor> acceptors = new HashMap<>();
    private final Set<SessionChannel> touched = new LinkedHashSet<>();
    private final Set<SessionChannel> grown = new LinkedHashSet<>();
    private final ControlLane control;
    private @Nullable PeerConnection connection;
    private @Nullable Holder holder;
    private @Nullable ScheduledFuture<?> heartbeat;
    private long peerBufferBytes = PeerSettings.MAX_BUFFER_BYTES;
    private int nextChannel;
    private int lastPeerChannel;
    private int lastBulk;
    private long lastBeatNanos;
    private boolean taskQueued;
    private boolean pumping;
    private boolean deep;
    /** Of the last time that it was. */
    private long deepUntilNanos = System.nanoTime();

    /** Written by the event loop, read by any thread. */
    private volatile String peerHost;

    private volatile UUID peerIncarnation = NOBODY;
    private volatile Optional<Instant> peerCertificateExpires = Optional.empty();
    private volatile @Nullable String over;
    private volatile State state;
    private volatile Consumer<LinkHealth> healthListener = health -> {};

    private record State(
            boolean up,
            Instant since,
            long outageCount,
            List<Outage> outages,
            Optional<String> address,
            String reason) {}

    LinkedSession(EventLoop loop, UUID id, boolean dialer, PeerIdentity self, PeerSettings settings, String peerHost) {
        this.loop = loop;
        this.id = id;
        this.dialer = dialer;
        this.self = self;
        this.settings = settings;
        this.peerHost = peerHost;
        this.nextChannel = dialer ? 1 : 2;
        this.state = new State(false, Instant.now(), 0, List.of(), Optional.empty(), "");
        this.control = new ControlLane(new ControlLane.Records() {
            @Override
            public void record(ControlRecord record) throws ProtocolException {
                take(record);
            }

            @Override
            public void acknowledged(long bytes) {
                queuedBytes.addAndGet(-bytes);
            }

            @Override
            public void broken(ProtocolException cause) {
                // They would come again over any other connection.
                lose("the peer sends records that can't be understood: " + cause.getMessage());
            }
        });
        this.mailbox = new Mailbox("peer-msg-" + id.toString().substring(0, 8), () -> loop.execute(this::messageTaken));
    }

    // Life. Event loop unless it says something else.

    void hold(Holder newHolder) {
        holder = newHolder;
    }

    boolean isOver() {
        return over != null;
    }

    /** What we say first on a new connection. The one before is not listened to any more. */
    Hello hello(boolean resume) {
        if (connection != null) {
            connection.close("replaced by a new connection");
        }
        List<Progress> progress = new ArrayList<>();
        progress.add(control.progress());
        channels.values().forEach(channel -> progress.add(channel.progress()));
        return new Hello(id, self, resume, settings.maxBufferBytes(), progress);
    }

    /** The new connection: both have said hello. */
    void attach(PeerConnection newConnection, Hello peer) throws IOException {
        Map<Integer, Progress> progress = new HashMap<>();
        for (Progress one : peer.progress()) {
            if (progress.put(one.channel(), one) != null) {
                throw new ProtocolException("hello.channel", 0, "each once", one.channel());
            }
        }
        for (Lane lane : lanes()) {
            Progress one = progress.get(lane.id());
            if (one != null) {
                lane.check(one);
            }
        }
        Optional<PeerTls.Certificate> certificate = newConnection.certificate();
        peerHost = certificate
                .map(PeerTls.Certificate::name)
                .orElse(peer.identity().host());
        peerCertificateExpires = certificate.map(PeerTls.Certificate::expires);
        peerIncarnation = peer.identity().incarnation();
        peerBufferBytes = peer.maxBufferBytes();
        connection = newConnection;
        for (Lane lane : lanes()) {
            Progress one = progress.get(lane.id());
            if (one == null) {
                lane.resumeUnknown();
            } else {
                lane.resume(one);
            }
        }
        lastBeatNanos = System.nanoTime();
        if (heartbeat == null) {
            heartbeat = loop.scheduleAtFixedRate(
                    this::beat, settings.heartbeatMillis(), settings.heartbeatMillis(), TimeUnit.MILLISECONDS);
        }
        newConnection.deep(deep);
        newConnection.write(new Ping(System.nanoTime()));
        newConnection.flush();
        cameUp(newConnection.address());
        pump();
    }

    /**
     * What the channels carry has changed, or there are others. Another move's guest may stand still behind this one.
     */
    void depthChanged() {
        boolean bulkOfOne = !channels.isEmpty()
                && channels.values().stream().allMatch(SessionChannel::isBulk)
                && channels.values().stream()
                                .map(channel -> channel.spec().move())
                                .distinct()
                                .count()
                        == 1;
        if (bulkOfOne != deep) {
            deep = bulkOfOne;
            deepUntilNanos = System.nanoTime();
            if (connection != null) {
                connection.deep(deep);
            }
        }
    }

    /** Most bulk that waits in front of the socket; 0 without a connection. */
    int depthBytes() {
        return connection == null ? 0 : connection.batchBytes();
    }

    private List<Lane> lanes() {
        List<Lane> lanes = new ArrayList<>(channels.size() + 1);
        lanes.add(control);
        lanes.addAll(channels.values());
        return lanes;
    }

    private void cameUp(String address) {
        State before = state;
        Instant now = Instant.now();
        List<Outage> outages = new ArrayList<>(before.outages());
        if (before.address().isPresent()) {
            outages.add(new Outage(before.since(), Duration.between(before.since(), now), before.reason()));
            if (outages.size() > LinkHealth.MAX_OUTAGES) {
                outages.removeFirst();
            }
        }
        state = new State(true, now, before.outageCount(), List.copyOf(outages), Optional.of(address), "");
        firstUp.countDown();
        log.atInfo()
                .addKeyValue("session", id)
                .addKeyValue("peer", peerHost)
                .addKeyValue("address", address)
                .addKeyValue("outages", before.outageCount())
                .log("session connected");
        tellHealth();
    }

    /** Its connection broke. */
    void detach(PeerConnection oldConnection, String reason) {
        if (connection != oldConnection) {
            return;
        }
        connection = null;
        State before = state;
        state = new State(false, Instant.now(), before.outageCount() + 1, before.outages(), before.address(), reason);
        if (over == null) {
            log.atWarn()
                    .addKeyValue("session", id)
                    .addKeyValue("peer", peerHost)
                    .addKeyValue("reason", reason)
                    .log("session has lost its connection");
            tellHealth();
            if (holder != null) {
                holder.connectionLost();
            }
        }
    }

    private void tellHealth() {
        LinkHealth now = health();
        mailbox.post(() -> healthListener.accept(now));
    }

    /** Nothing comes back. */
    void lose(String reason) {
        if (over != null) {
            return;
        }
        over = reason;
        log.atInfo()
                .addKeyValue("session", id)
                .addKeyValue("peer", peerHost)
                .addKeyValue("reason", reason)
                .log("session over");
        if (heartbeat != null) {
            heartbeat.cancel(false);
        }
        if (connection != null) {
            connection.close(reason);
        }
        List.copyOf(channels.values()).forEach(channel -> channel.broken("the session is over: " + reason));
        control.releaseQueue();
        acceptors.clear();
        firstUp.countDown();
        mailbox.lost(reason);
        if (holder != null) {
            holder.over();
        }
    }

    private void beat() {
        PeerConnection now = connection;
        long nanos = System.nanoTime();
        meter.tick(nanos);
        long late = nanos - lastBeatNanos - TimeUnit.MILLISECONDS.toNanos(2 * settings.heartbeatMillis());
        lastBeatNanos = nanos;
        if (now == null) {
            return;
        }
        long silent = nanos - now.lastHeardNanos();
        // If this thread was held up, what came meanwhile is read after this: judge the peer at the next beat.
        if (late < 0 && silent > TimeUnit.MILLISECONDS.toNanos(settings.deadMillis())) {
            now.close("nothing was heard for %d ms".formatted(TimeUnit.NANOSECONDS.toMillis(silent)));
            return;
        }
        now.write(new Ping(nanos));
        now.flush();
    }

    // Receiving.

    @Override
    public void frame(PeerFrame frame) throws ProtocolException {
        switch (frame) {
            case Ack(int channel, long delivered) -> {
                Lane lane = find(channel);
                if (lane != null) {
                    lane.acknowledge(delivered);
                }
            }
            case Ping(long value) -> {
                if (connection != null) {
                    connection.write(new Pong(value));
                    connection.flush();
                }
            }
            case Pong(long value) -> {
                long nanos = System.nanoTime() - value;
                if (nanos >= 0 && nanos < TimeUnit.HOURS.toNanos(1)) {
                    if (deep || value - deepUntilNanos < 0) {
                        meter.tripBehindBulk(nanos);
                    } else {
                        meter.trip(nanos);
                    }
                }
            }
            case Goodbye(String reason) -> lose("the peer said goodbye: " + reason);
            case Hello hello -> throw new ProtocolException("frame", 0, "no second hello", "one");
            case Data data -> throw new IllegalStateException("data comes by another way");
        }
    }

    @Override
    public void data(int channel, long offset, ByteBuf bytes) throws ProtocolException {
        Lane lane;
        try {
            lane = find(channel);
        } catch (ProtocolException e) {
            bytes.release();
            throw e;
        }
        if (lane == null) {
            bytes.release();
        } else {
            lane.receive(offset, bytes);
        }
    }

    /** Null for a channel that is over; its last frames may still come. */
    private @Nullable Lane find(int channel) throws ProtocolException {
        if (channel == 0) {
            return control;
        }
        SessionChannel found = channels.get(channel);
        if (found == null && !wasOpened(channel)) {
            throw new ProtocolException("frame.channel", 0, "a channel that was opened", channel);
        }
        return found;
    }

    private boolean wasOpened(int channel) {
        boolean ours = (channel % 2 == 1) == dialer;
        return ours ? channel < nextChannel : channel <= lastPeerChannel;
    }

    private void take(ControlRecord record) throws ProtocolException {
        switch (record) {
            case ControlRecord.Message(byte[] content) -> mailbox.deliver(content);
            case ControlRecord.Open(int channel, ChannelSpec spec) -> opened(channel, spec);
            case ControlRecord.End(int channel, long length) -> {
                if (find(channel) instanceof SessionChannel found) {
                    found.end(length);
                }
            }
            case ControlRecord.Reset(int channel, String reason) -> {
                if (find(channel) instanceof SessionChannel found) {
                    found.broken(reason);
                }
            }
            case ControlRecord.Delivered(int channel) -> {
                if (find(channel) instanceof SessionChannel found) {
                    found.finish();
                }
            }
        }
    }

    private void opened(int channel, ChannelSpec spec) throws ProtocolException {
        if ((channel % 2 == 1) == dialer || channel <= lastPeerChannel) {
            throw new ProtocolException("open.channel", 0, "a new one of the peer's", channel);
        }
        lastPeerChannel = channel;
        if (channels.size() + 1 >= PeerFrameCodec.MAX_CHANNELS) {
            throw new ProtocolException("open.channel", 0, "at most 1023 channels", channel);
        }
        SessionChannel opened = new SessionChannel(this, channel, spec, false);
        channels.put(channel, opened);
        depthChanged();
        Acceptor acceptor = acceptors.get(new Attempt(spec.move(), spec.attempt()));
        Optional<ChannelReader> reader = acceptor == null ? Optional.empty() : acceptor.opened(opened);
        if (reader.isPresent()) {
            opened.read(reader.get());
        } else {
            opened.reset("nobody waits for a %s channel of attempt %d of move %s"
                    .formatted(spec.kind(), spec.attempt(), spec.move()));
        }
    }

    @Override
    public void readComplete() {
        tellTouched();
        pump();
    }

    @Override
    public void writable() {
        pump();
    }

    void touched(SessionChannel channel) {
        touched.add(channel);
        queueTask();
    }

    void roomGrown(SessionChannel channel) {
        grown.add(channel);
        queueTask();
    }

    void ackDue(SessionChannel channel) {
        queueTask();
    }

    /** Collects what one round of the event loop has brought. */
    private void queueTask() {
        if (!taskQueued) {
            taskQueued = true;
            loop.execute(() -> {
                taskQueued = false;
                tellTouched();
                pump();
            });
        }
    }

    private void tellTouched() {
        while (!touched.isEmpty()) {
            SessionChannel channel = touched.iterator().next();
            touched.remove(channel);
            channel.receivedAll();
        }
        while (!grown.isEmpty()) {
            SessionChannel channel = grown.iterator().next();
            grown.remove(channel);
            channel.tellRoom();
        }
    }

    private void messageTaken() {
        if (over == null) {
            control.taken();
            queueTask();
        }
    }

    // Sending.

    /** Hands over what the connection takes: acknowledgements, then urgent bytes, then bulk in turn. */
    void pump() {
        if (pumping) {
            return;
        }
        pumping = true;
        try {
            boolean more = true;
            while (more) {
                // A write may find out that the connection is gone.
                more = writeBatch() && connection != null && connection.isWritable();
            }
        } finally {
            pumping = false;
        }
    }

    private boolean writeBatch() {
        PeerConnection to = connection;
        if (to == null || to.isOver()) {
            return false;
        }
        boolean wrote = writeAcks(to);
        int room = to.isWritable() ? to.batchBytes() : 0;
        while (room > 0) {
            Lane lane = nextLane();
            if (lane == null) {
                break;
            }
            long offset = lane.nextOffset();
            ByteBuf bytes = lane.next();
            room -= bytes.readableBytes();
            to.write(lane.id(), offset, bytes);
            wrote = true;
        }
        if (wrote) {
            to.flush();
        }
        return wrote;
    }

    private boolean writeAcks(PeerConnection to) {
        boolean wrote = writeAck(to, control);
        for (SessionChannel channel : channels.values()) {
            wrote |= writeAck(to, channel);
        }
        return wrote;
    }

    private static boolean writeAck(PeerConnection to, Lane lane) {
        if (!lane.isAckDue()) {
            return false;
        }
        to.write(new Ack(lane.id(), lane.announce()));
        return true;
    }

    private @Nullable Lane nextLane() {
        if (control.isSendable()) {
            return control;
        }
        SessionChannel bulk = null;
        SessionChannel later = null;
        for (SessionChannel channel : channels.values()) {
            if (!channel.isSendable()) {
                continue;
            }
            if (channel.isUrgent()) {
                return channel;
            }
            if (channel.id() > lastBulk && later == null) {
                later = channel;
            }
            if (bulk == null) {
                bulk = channel;
            }
        }
        SessionChannel turn = later != null ? later : bulk;
        if (turn != null) {
            lastBulk = turn.id();
        }
        return turn;
    }

    void record(ControlRecord record) {
        ByteBuf bytes = Unpooled.wrappedBuffer(ControlRecordCodec.encode(record));
        queuedBytes.addAndGet(bytes.readableBytes());
        append(bytes);
    }

    private void append(ByteBuf record) {
        if (over != null) {
            record.release();
            return;
        }
        control.append(record);
        queueTask();
    }

    void remove(SessionChannel channel) {
        if (channels.get(channel.id()) == channel) {
            channels.remove(channel.id());
            depthChanged();
        }
    }

    void measured(long bytes) {
        meter.delivered(bytes, System.nanoTime());
    }

    long largestWindow() {
        return Math.min(peerBufferBytes, settings.maxBufferBytes());
    }

    long ownBufferBytes() {
        return settings.maxBufferBytes();
    }

    // PeerChannels.

    @Override
    public EventLoop loop() {
        return loop;
    }

    @Override
    public void post(Runnable action) {
        mailbox.post(action);
    }

    @Override
    public PeerChannel open(ChannelSpec spec, ChannelReader reader) throws IOException {
        String lost = over;
        if (lost != null) {
            throw new IOException("the session with %s is over: %s".formatted(peerHost, lost));
        }
        if (channels.size() + 1 >= PeerFrameCodec.MAX_CHANNELS) {
            throw new IOException("the session with %s has %d channels, the most that are possible"
                    .formatted(peerHost, channels.size()));
        }
        SessionChannel channel = new SessionChannel(this, nextChannel, spec, true);
        channel.read(reader);
        nextChannel += 2;
        channels.put(channel.id(), channel);
        depthChanged();
        record(new ControlRecord.Open(channel.id(), spec));
        return channel;
    }

    @Override
    public void accept(UUID move, int attempt, Acceptor acceptor) {
        acceptors.put(new Attempt(move, attempt), acceptor);
    }

    @Override
    public void refuse(UUID move, int attempt) {
        acceptors.remove(new Attempt(move, attempt));
    }

    @Override
    public LinkHealth linkHealth() {
        return health();
    }

    // PeerSession: any thread.

    @Override
    public UUID id() {
        return id;
    }

    @Override
    public String peerHost() {
        return peerHost;
    }

    @Override
    public UUID peerIncarnation() {
        return peerIncarnation;
    }

    @Override
    public Optional<Instant> peerCertificateExpires() {
        return peerCertificateExpires;
    }

    @Override
    public LinkHealth health() {
        State now = state;
        return new LinkHealth(
                now.up(),
                now.since(),
                now.outageCount(),
                now.outages(),
                meter.rttNanos(),
                meter.minRttNanos(),
                meter.bytesPerSecond(),
                now.address());
    }

    @Override
    public void onHealth(Consumer<LinkHealth> told) {
        healthListener = told;
    }

    @Override
    public boolean awaitUp(Duration deadline) throws InterruptedException {
        return firstUp.await(deadline.toNanos(), TimeUnit.NANOSECONDS) && state.up();
    }

    @Override
    public void send(byte[] message) throws IOException {
        if (message.length > MAX_MESSAGE_BYTES) {
            throw new IOException(
                    "a message of %d bytes, %d are possible".formatted(message.length, MAX_MESSAGE_BYTES));
        }
        String lost = over;
        if (lost != null) {
            throw new IOException("the session with %s is over: %s".formatted(peerHost, lost));
        }
        ByteBuf record = Unpooled.wrappedBuffer(ControlRecordCodec.encode(new ControlRecord.Message(message)));
        int length = record.readableBytes();
        if (queuedBytes.addAndGet(length) > MAX_QUEUED_BYTES) {
            queuedBytes.addAndGet(-length);
            throw new IOException(
                    "%s has not taken %d bytes of messages, no more can wait".formatted(peerHost, queuedBytes.get()));
        }
        loop.execute(() -> append(record));
    }

    @Override
    public void onMessage(Consumer<byte[]> told) {
        mailbox.onMessage(told);
    }

    @Override
    public void onLost(Consumer<String> told) {
        mailbox.onLost(told);
    }

    @Override
    public void close() {
        loop.execute(() -> {
            if (over == null) {
                if (connection != null) {
                    pump();
                    connection.write(new Goodbye("closed by its daemon"));
                    connection.finish();
                }
                lose("closed");
            }
        });
    }

    void join() {
        mailbox.join();
    }
}
