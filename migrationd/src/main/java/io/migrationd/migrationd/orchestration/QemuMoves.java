package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.CommandException;
import io.migrationd.migrationd.control.MoveOperations;
import io.migrationd.migrationd.guest.qemu.GuestDefinitions;
import io.migrationd.migrationd.guest.qemu.TargetProbe;
import io.migrationd.migrationd.journal.MoveJournal;
import io.migrationd.migrationd.journal.OwnershipRow;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.PeerLinks;
import io.migrationd.migrationd.link.session.PeerServer;
import io.migrationd.migrationd.link.session.PeerTls;
import io.migrationd.migrationd.move.Ownership;
import io.migrationd.migrationd.move.TargetState;
import io.migrationd.migrationd.report.ReportStore;
import io.migrationd.migrationd.session.EventSink;
import io.migrationd.migrationd.session.Failures;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Everything that moves QEMU guests, put together: the journal, the sessions, the definitions and the moves. */
public final class QemuMoves implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(QemuMoves.class);

    private final MoveJournal journal;
    private final JournalStore store;
    private final MoveService service;
    private final Optional<PeerServer> server;

    /**
     * Where things are.
     *
     * @param listen where peers' daemons may call, if they may
     * @param peers names of hosts and their addresses
     * @param reports where those of moves go too
     * @param rescues what they are made with
     */
    public record Setup(
            Path state,
            Path runtime,
            GuestDefinitions definitions,
            Optional<MigrationUri> listen,
            Map<String, List<MigrationUri>> peers,
            String daemonVersion,
            ReportStore reports,
            RescueTools rescues) {
        /** Copies the map. */
        public Setup {
            peers = Map.copyOf(peers);
        }
    }

    private QemuMoves(MoveJournal journal, JournalStore store, MoveService service, Optional<PeerServer> server) {
        this.journal = journal;
        this.store = store;
        this.service = service;
        this.server = server;
    }

    /**
     * Opens the journal, goes on with what an earlier daemon has left, and listens.
     *
     * @param links not closed by this
     */
    public static QemuMoves open(Setup setup, PeerLinks links, EventSink events) throws IOException {
        Path scratch = Files.createDirectories(setup.runtime().resolve("native"));
        MoveJournal journal = MoveJournal.open(setup.state().resolve("moves.db"), scratch);
        JournalStore store = new JournalStore(journal);
        MoveService service = null;
        try {
            service = new MoveService(new Parts(setup, links, events, store));
            service.goOn();
            MoveService accepting = service;
            Optional<PeerServer> server = Optional.empty();
            if (setup.listen().isPresent()) {
                PeerServer listening = links.listen(setup.listen().get(), accepting::accepted);
                log.atInfo().addKeyValue("address", listening.uri()).log("peers may call");
                server = Optional.of(listening);
            }
            return new QemuMoves(journal, store, service, server);
        } catch (IOException | RuntimeException e) {
            if (service != null) {
                service.close();
            }
            store.close();
            journal.close();
            throw e;
        }
    }

    /** For the control sockets. */
    public MoveOperations operations() {
        return service;
    }

    /** Where peers may call, with the real port. */
    public Optional<MigrationUri> listening() {
        return server.map(PeerServer::uri);
    }

    @Override
    public void close() throws IOException {
        server.ifPresent(PeerServer::close);
        service.close();
        store.close();
        journal.close();
    }

    /** What there is of each on a real host. */
    private static final class Parts implements MoveParts {
        private final Setup setup;
        private final PeerLinks links;
        private final EventSink events;
        private final JournalStore store;
        private final DaemonRelays relays;
        private final DefinedGuests book;
        private final DefinedIncoming starter;
        private final Reports reports;
        private final Rehearsal rehearsal;

        Parts(Setup setup, PeerLinks links, EventSink events, JournalStore store) throws IOException {
            this.setup = setup;
            this.links = links;
            this.events = events;
            this.store = store;
            this.relays = new DaemonRelays(setup.runtime().resolve("moves"));
            this.rehearsal = new Rehearsal(setup.runtime().resolve("rehearsal"));
            Path runRoot = setup.runtime().resolve("qemu");
            Files.createDirectories(runRoot);
            this.book = new DefinedGuests(
                    setup.definitions(),
                    new TargetProbe(setup.daemonVersion(), runRoot),
                    setup.daemonVersion(),
                    links.tls().map(PeerTls::certificateExpires),
                    this::runsHere);
            this.starter = new DefinedIncoming(book::definition, runRoot);
            this.reports = new ReportFiles(setup.reports(), host());
        }

        @Override
        public String host() {
            return links.self().host();
        }

        @Override
        public EventSink events() {
            return events;
        }

        @Override
        public MoveStore store() {
            return store;
        }

        @Override
        public MoveRelays relays() {
            return relays;
        }

        @Override
        public IncomingProcess.Starter starter() {
            return starter;
        }

        @Override
        public Rehearsal rehearsal() {
            return rehearsal;
        }

        @Override
        public RescueTools rescues() {
            return setup.rescues();
        }

        @Override
        public GuestBook book() {
            return book;
        }

        @Override
        public PeerLine.Dialing dialing() {
            return links::dial;
        }

        @Override
        public Reports reports() {
            return reports;
        }

        @Override
        public List<MigrationUri> addresses(String to) {
            List<MigrationUri> known = setup.peers().get(to);
            if (known != null) {
                return known;
            }
            if (to.startsWith("tcp:") || to.startsWith("unix:")) {
                try {
                    return List.of(MigrationUri.parse(to));
                } catch (IllegalArgumentException e) {
                    return List.of();
                }
            }
            return List.of();
        }

        @Override
        public List<OpenSource> openSources() {
            try {
                return store.openSources();
            } catch (IOException e) {
                throw new IllegalStateException("moves of an earlier daemon can't be read", e);
            }
        }

        @Override
        public List<OpenTarget> openTargets() {
            try {
                return store.openTargets();
            } catch (IOException e) {
                throw new IllegalStateException("moves of an earlier daemon can't be read", e);
            }
        }

        @Override
        public List<SourceJob> openRetries() {
            try {
                return store.openRetries();
            } catch (IOException e) {
                throw new IllegalStateException("moves of an earlier daemon can't be read", e);
            }
        }

        @Override
        public TargetState pastTarget(UUID move) {
            return store.pastTarget(move);
        }

        @Override
        public long epoch(UUID guest) {
            return store.ownership(guest).map(OwnershipRow::epoch).orElse(0L);
        }

        @Override
        public Optional<String> notOurs(UUID guest) {
            return store.ownership(guest)
                    .filter(row -> !row.state().equals(Ownership.OWNER.name())
                            && !row.state().equals(Ownership.DECLINED.name()))
                    .map(row ->
                            "the journal of this host says that '%s' is %s since %s (epoch %d): migrationctl moves reclaim"
                                    .formatted(row.name(), row.state(), row.since(), row.epoch()));
        }

        @Override
        public Optional<String> runsHere(UUID guest) {
            return book.byUuid(guest)
                    .filter(defined -> Files.exists(defined.qmp()))
                    .flatMap(defined -> {
                        QemuHandle probe =
                                new QemuHandle(defined.name(), defined.qmp(), () -> false, event -> {}, () -> {});
                        return probe.isDead()
                                ? Optional.empty()
                                : Optional.of("a QEMU answers at %s, where '%s' would run"
                                        .formatted(defined.qmp(), defined.name()));
                    });
        }

        @Override
        public void reclaim(GuestBook.DefinedGuest guest, boolean force) throws CommandException {
            OwnershipRow row = store.ownership(guest.uuid())
                    .filter(owned -> !owned.state().equals(Ownership.OWNER.name()))
                    .orElseThrow(() -> new CommandException("guest '%s' was not given away".formatted(guest.name())));
            if (row.state().equals(Ownership.RELEASED.name()) && !force) {
                throw new CommandException(
                        "guest '%s' was given away at %s and may run there: --force says that no other copy runs"
                                .formatted(guest.name(), row.since()));
            }
            try {
                store.own(guest.uuid(), guest.name(), row.epoch() + 1);
            } catch (IOException e) {
                throw new CommandException(Failures.describe(e), e);
            }
            log.atWarn()
                    .addKeyValue("guest", guest.name())
                    .addKeyValue("was", row.state())
                    .addKeyValue("epoch", row.epoch() + 1)
                    .log("taken back by an operator; start it with cont in its QEMU");
        }
    }
}
