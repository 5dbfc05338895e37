package io.migrationd.migrationd;

import io.migrationd.migrationd.config.DaemonConfig;
import io.migrationd.migrationd.config.PeerConfig;
import io.migrationd.migrationd.control.ControlServer;
import io.migrationd.migrationd.control.DaemonFacts;
import io.migrationd.migrationd.control.EventHub;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.guest.process.DescriptorStore;
import io.migrationd.migrationd.guest.process.GuestListener;
import io.migrationd.migrationd.guest.qemu.GuestDefinitions;
import io.migrationd.migrationd.journal.MigrationLedger;
import io.migrationd.migrationd.journal.OwnershipLedger;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.session.PeerIdentity;
import io.migrationd.migrationd.link.session.PeerLinks;
import io.migrationd.migrationd.link.session.PeerSettings;
import io.migrationd.migrationd.link.session.PeerTls;
import io.migrationd.migrationd.metrics.Meters;
import io.migrationd.migrationd.metrics.MetricsServer;
import io.migrationd.migrationd.orchestration.QemuMoves;
import io.migrationd.migrationd.orchestration.RescueTools;
import io.migrationd.migrationd.report.MigrationReportWriter;
import io.migrationd.migrationd.report.ReportStore;
import io.migrationd.postcopy.memory.HostFeature;
import io.migrationd.postcopy.memory.HostFeatures;
import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Instant;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.jspecify.annotations.Nullable;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The wiring of one daemon. Parts are started in the order of {@link #start} and stopped in the reverse one. */
public final class Daemon implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(Daemon.class);

    private final Deque<Part> parts = new ArrayDeque<>();

    private record Part(String name, AutoCloseable part) {}

    private Daemon() {}

    /**
     * Starts everything; on return the control socket answers.
     *
     * @throws IOException if a part can't start; those before it are stopped again
     */
    public static Daemon start(DaemonConfig config) throws IOException {
        Daemon daemon = new Daemon();
        try {
            daemon.startParts(config);
            return daemon;
        } catch (IOException | RuntimeException e) {
            daemon.close();
            throw e;
        }
    }

    private void startParts(DaemonConfig config) throws IOException {
        Files.createDirectories(config.paths().state());
        Files.createDirectories(config.paths().runtime());
        started("state lock", lock(config.paths().state()));
        Meters meters = started("meters", new Meters());
        EventHub events = new EventHub(InstantSource.system());
        OwnershipLedger ownership = new OwnershipLedger(config.paths().state().resolve("ownership"));
        Links links = started(
                "links",
                new Links(
                        config.limits().connectTimeoutMillis(), config.limits().peerSilenceMillis()));
        ReportStore reports = new ReportStore(config.paths().state().resolve("reports"), config.reportsKeep());
        MigrationReportWriter writer = started(
                "reports", new MigrationReportWriter(reports, config.peer().hostName(), InstantSource.system()));
        GuestServices services = new GuestServices(
                links,
                events,
                meters,
                writer,
                ownership,
                new MigrationLedger(config.paths().state().resolve("migrations")),
                config.recovery(),
                config.limits().peerSilenceMillis(),
                config.limits().peerSilenceMillis(),
                Math.toIntExact(Math.min(Integer.MAX_VALUE, config.limits().deviceStateBytes())),
                config.stream().listenBeyondLoopback());
        RamBudget budget = new RamBudget(config.limits().maxParkedRamBytes());
        GuestCatalog guests = started(
                "guests",
                new GuestCatalog(
                        config.paths().state().resolve("parked"),
                        budget,
                        services,
                        config.limits().maxGuests()));
        guests.loadParked();
        QemuMoves moves = startMoves(config, links, budget, events, reports);
        DescriptorStore store = started("descriptor store", DescriptorStore.of(System.getenv()));
        GuestListener listener = started(
                "guest listener",
                GuestListener.open(config.paths().guestSocket(), guests, GuestListener.Limits.DEFAULT, store));
        ControlServer control = started(
                "control",
                new ControlServer(
                        config.control(),
                        config.paths(),
                        guests,
                        qemuGuests(config),
                        moves.operations(),
                        events,
                        facts(),
                        meters));
        control.start();
        guests.onChange(control::guestAdded, control::guestRemoved, listener::forget);
        // Stopped first: an engine needs its guest's connection and memory to put things right.
        started("engines", guests::stopEngines);
        meters.watchGuests(GuestKind.PROCESS, () -> guests.count(GuestKind.PROCESS));
        meters.watchGuests(GuestKind.PARKED, () -> guests.count(GuestKind.PARKED));
        if (config.metrics().address().isPresent()) {
            MetricsServer page = started(
                    "metrics", new MetricsServer(config.metrics().address().get(), meters));
            log.atInfo().addKeyValue("address", page.address()).log("metrics");
        }
        log.atInfo()
                .addKeyValue("control", config.paths().controlSocket())
                .addKeyValue("guests", config.paths().guestSocket())
                .addKeyValue("version", version())
                .log("serving");
    }

    private QemuMoves startMoves(
            DaemonConfig config, Links links, RamBudget budget, EventHub events, ReportStore reports)
            throws IOException {
        PeerConfig peer = config.peer();
        Optional<PeerTls> tls = Optional.empty();
        if (peer.tls().isPresent()) {
            PeerConfig.TlsFiles files = peer.tls().get();
            tls = Optional.of(PeerTls.load(files.certificate(), files.key(), files.authority()));
        }
        PeerLinks peerLinks = started(
                "peers",
                new PeerLinks(
                        new PeerIdentity(peer.hostName(), UUID.randomUUID()),
                        new PeerSettings(
                                peer.heartbeatMillis(),
                                peer.deadMillis(),
                                PeerSettings.DEFAULT.reconnectMinMillis(),
                                peer.reconnectMaxMillis(),
                                PeerSettings.FOR_EVER,
                                peer.maxBufferBytes()),
                        tls));
        return started(
                "moves",
                QemuMoves.open(
                        new QemuMoves.Setup(
                                config.paths().state(),
                                config.paths().runtime(),
                                new GuestDefinitions(config.paths().guestDefinitions()),
                                peer.listen(),
                                peer.peers(),
                                version(),
                                reports,
                                new RescueTools(
                                        config.paths().state(),
                                        links,
                                        budget,
                                        config.recovery().auto())),
                        peerLinks,
                        events));
    }

    /** Two daemons over one state directory would own the same guests. */
    private static AutoCloseable lock(Path state) throws IOException {
        FileChannel file = FileChannel.open(state.resolve("lock"), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
        FileLock held = tryLock(file);
        if (held == null) {
            file.close();
            throw new IOException("another daemon uses the state directory " + state);
        }
        return file;
    }

    private static @Nullable FileLock tryLock(FileChannel file) throws IOException {
        try {
            return file.tryLock();
        } catch (java.nio.channels.OverlappingFileLockException e) {
            return null;
        }
    }

    private static QemuGuestCatalog qemuGuests(DaemonConfig config) {
        GuestDefinitions definitions = new GuestDefinitions(config.paths().guestDefinitions());
        return new QemuGuestCatalog(definitions, version(), InstantSource.system());
    }

    private static DaemonFacts facts() {
        HostFeatures host = HostFeatures.probe();
        Map<String, Object> features = new LinkedHashMap<>();
        for (HostFeature feature : HostFeature.values()) {
            features.put(feature.name().toLowerCase(Locale.ROOT).replace('_', '-'), host.has(feature));
        }
        return new DaemonFacts(version(), ProcessHandle.current().pid(), Instant.now(), () -> features);
    }

    static String version() {
        String packaged = Daemon.class.getPackage().getImplementationVersion();
        return packaged == null ? "development" : packaged;
    }

    private <T extends AutoCloseable> T started(String name, T part) {
        parts.push(new Part(name, part));
        return part;
    }

    @Override
    public void close() {
        while (!parts.isEmpty()) {
            Part part = parts.pop();
            try {
                part.part().close();
            } catch (Exception e) {
                // Whatever one part does, the others must be stopped.
                log.atError().addKeyValue("part", part.name()).setCause(e).log("not stopped cleanly");
            }
        }
    }
}
