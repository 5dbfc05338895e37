package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.link.session.PeerSession;
import io.migrationd.migrationd.peer.MoveOrder;
import io.migrationd.migrationd.relay.Relay;
import io.migrationd.migrationd.relay.RelayPlan;
import io.migrationd.migrationd.relay.RelayStatus;
import io.migrationd.migrationd.relay.RelayTaps;
import io.migrationd.migrationd.relay.netty.Relays;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Byte paths over sessions between daemons; their sockets lie in one directory of the runtime directory. */
final class DaemonRelays implements MoveRelays {
    private static final Logger log = LoggerFactory.getLogger(DaemonRelays.class);

    private final Path directory;

    /**
     * @param directory made if it is not there; its path is short, for the kernel takes 107 bytes of a socket's name
     */
    DaemonRelays(Path directory) throws IOException {
        this.directory = directory;
        Files.createDirectories(directory);
        // An earlier daemon's, if it was killed: its byte paths died with it, and every attempt has sockets of its own.
        try (DirectoryStream<Path> left = Files.newDirectoryStream(directory)) {
            for (Path socket : left) {
                Files.delete(socket);
            }
        }
    }

    @Override
    public MoveRelay source(PeerSession session, UUID move, int attempt, MoveOrder order, long downtimeMillis)
            throws IOException {
        Path path = socketPath(move, "s" + attempt);
        RelayPlan plan = plan(move, attempt, path, order).withDowntimeLimit(downtimeMillis);
        SeenStream seen = new SeenStream();
        return new Open(Relays.source(session, plan.withTaps(seen.taps())), path, seen, true);
    }

    @Override
    public MoveRelay target(PeerSession session, UUID move, int attempt, MoveOrder order, Path path) {
        RelayPlan plan = plan(move, attempt, path, order);
        SeenStream seen = new SeenStream();
        return new Open(Relays.target(session, plan.withTaps(RelayTaps.NONE)), path, seen, false);
    }

    private static RelayPlan plan(UUID move, int attempt, Path path, MoveOrder order) {
        return RelayPlan.of(move, path)
                .withAttempt(attempt, path)
                .withConnections(order.preempt() && order.postcopy(), order.multifdChannels());
    }

    @Override
    public Path socketPath(UUID move, String end) {
        return directory.resolve(move.toString().substring(0, 8) + "-" + end);
    }

    private record Open(Relay relay, Path path, SeenStream seen, boolean isSource) implements MoveRelay {
        @Override
        public void makeRoom(long bytes) {
            relay.window(bytes);
        }

        @Override
        public void adaptRoom() {
            relay.window(Relay.ADAPTIVE);
        }

        @Override
        public void bulk(boolean on) {
            relay.bulk(on);
        }

        @Override
        public boolean stands() {
            RelayStatus.State state = relay.status().state();
            return state == RelayStatus.State.WAITING || state == RelayStatus.State.OPEN;
        }

        @Override
        public boolean isBusy() {
            RelayStatus now = relay.status();
            return !now.linkUp() || now.channels().stream().anyMatch(channel -> channel.inFlightBytes() > 0);
        }

        @Override
        public Optional<String> broken() {
            return relay.status()
                    .failure()
                    .map(failure -> "%s: %s".formatted(MoveWords.word(failure.side()), failure.reason()));
        }

        @Override
        public MoveTraffic traffic() {
            Map<String, Long> bytes = new LinkedHashMap<>();
            for (RelayStatus.ChannelStatus channel : relay.status().channels()) {
                String name = MoveWords.word(channel.kind()) + (channel.index() > 0 ? "-" + channel.index() : "");
                bytes.put(name + ".read", channel.readBytes());
                bytes.put(name + ".delivered", channel.deliveredBytes());
            }
            return new MoveTraffic(bytes, stream());
        }

        @Override
        public Optional<SeenStream> stream() {
            return isSource ? Optional.of(seen) : Optional.empty();
        }

        @Override
        public void close() {
            relay.close();
            try {
                Files.deleteIfExists(path);
            } catch (IOException e) {
                // A leftover in the runtime directory: harmless, its name is not used again.
                log.atDebug().addKeyValue("path", path).setCause(e).log("socket not removed");
            }
        }
    }
}
