package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.it.fault.Cut;
import io.migrationd.it.fault.Direction;
import io.migrationd.it.fault.LinkProxy;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MoveHost;
import io.migrationd.it.peer.MovedGuest;
import io.migrationd.it.peer.QemuBinary;
import io.migrationd.it.peer.QmpException;
import io.migrationd.migrationd.journal.MoveJournal;
import io.migrationd.migrationd.sample.BootGuest;
import io.migrationd.migrationd.sample.SerialLog;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.atomic.AtomicReference;

/**
 * Hosts {@code a} and {@code b} with a daemon each and a link between them that can be broken, guests that are at
 * {@code a} at first, and what must be true of them whatever happens.
 */
@SuppressWarnings("try") // A test may be interrupted while it ends.
final class MoveLab implements AutoCloseable {
    static final Duration DEADLINE = Duration.ofSeconds(40);
    private static final String MACHINE = "pc-i440fx-7.2";

    private final QemuBinary sourceQemu;
    private final QemuBinary targetQemu;
    private final LinkProxy link;
    private final MoveHost a;
    private final MoveHost b;
    private final Path folder;
    /** Behind the names of its guests; empty for who owns the daemons. */
    private final String suffix;

    private final List<MovedGuest> guests = new ArrayList<>();
    private int views;

    private MoveLab(
            Path folder,
            String suffix,
            QemuBinary sourceQemu,
            QemuBinary targetQemu,
            LinkProxy link,
            MoveHost a,
            MoveHost b) {
        this.folder = folder;
        this.suffix = suffix;
        this.sourceQemu = sourceQemu;
        this.targetQemu = targetQemu;
        this.link = link;
        this.a = a;
        this.b = b;
    }

    /** Starts both daemons. */
    static MoveLab start(Path folder, QemuBinary sourceQemu, QemuBinary targetQemu) throws Exception {
        assumeTrue(sourceQemu.path().isPresent(), sourceQemu.hint());
        assumeTrue(targetQemu.path().isPresent(), targetQemu.hint());
        InetAddress loopback = InetAddress.getLoopbackAddress();
        int port = MoveHost.freePort();
        LinkProxy link =
                LinkProxy.start("daemons", new InetSocketAddress(loopback, 0), new InetSocketAddress(loopback, port));
        int linkPort = ((InetSocketAddress) link.address()).getPort();
        MoveHost b = MoveHost.start("b", folder.resolve("b"), port, Map.of());
        try {
            MoveHost a = MoveHost.start(
                    "a", folder.resolve("a"), MoveHost.freePort(), Map.of("b", "tcp:127.0.0.1:" + linkPort));
            return new MoveLab(folder, "", sourceQemu, targetQemu, link, a, b);
        } catch (Exception e) {
            b.close();
            link.close();
            throw e;
        }
    }

    /**
     * The same daemons for a test that neither kills nor stops them: with guests of its own, the only ones that it ends
     * and whose moves it looks at.
     */
    MoveLab view(QemuBinary source, QemuBinary target) throws IOException {
        assumeTrue(source.path().isPresent(), source.hint());
        assumeTrue(target.path().isPresent(), target.hint());
        String number = Integer.toString(++views);
        return new MoveLab(Files.createDirectories(folder.resolve("t" + number)), number, source, target, link, a, b);
    }

    private boolean isView() {
        return !suffix.isEmpty();
    }

    LinkProxy link() {
        return link;
    }

    MoveHost a() {
        return a;
    }

    MoveHost b() {
        return b;
    }

    /** A running guest at a. */
    MovedGuest guest(String name, BootGuest shape) throws Exception {
        return guest(name, shape, List.of(), List.of());
    }

    /**
     * A running guest at a.
     *
     * @param more arguments of both QEMUs
     * @param runner what starts the QEMU at b, before its program
     */
    MovedGuest guest(String name, BootGuest shape, List<String> more, List<String> runner) throws Exception {
        Path firmware = Files.write(folder.resolve(name + ".bin"), shape.firmware());
        List<String> machine =
                new ArrayList<>(List.of("-accel", "tcg", "-nodefaults", "-display", "none", "-machine", MACHINE));
        machine.addAll(shape.qemuArguments(firmware));
        machine.addAll(more);
        MovedGuest guest = MovedGuest.start(name + suffix, a, sourceQemu, b, targetQemu, machine, runner);
        guests.add(guest);
        guest.source().migration().cont();
        Scenario.awaitRound(SerialLog.of(guest.sourceSerial()), 2);
        return guest;
    }

    /** Starts a move to b; the move's id. */
    String move(MovedGuest guest, Map<String, ?> how) throws Exception {
        Map<String, Object> arguments = new HashMap<>(how);
        arguments.put("guest", guest.name());
        arguments.put("to", "b");
        return a.daemon().qmp().execute("move-start", arguments).path("id").asText();
    }

    /** What a daemon says of the guest's move. */
    JsonNode show(MoveHost host, MovedGuest guest) throws Exception {
        return host.daemon().qmp().execute("move-show", Map.of("guest", guest.name()));
    }

    void cancel(MovedGuest guest) throws Exception {
        a.daemon().qmp().execute("move-cancel", Map.of("guest", guest.name()));
    }

    /** Waits until the source's end of the move is in one of the phases; its end before that ends the wait. */
    void awaitPhase(MovedGuest guest, String... phases) throws Exception {
        Set<String> wanted = Set.of(phases);
        Await.until(
                "phase " + wanted,
                DEADLINE,
                () -> {
                    JsonNode move = show(a, guest);
                    String phase = move.path("phase").asText();
                    if (!wanted.contains(phase) && move.has("outcome")) {
                        throw new IOException("the move is over: " + move);
                    }
                    return wanted.contains(phase);
                },
                () -> show(a, guest));
    }

    /** Waits until the destination's end of the move is in that phase. */
    void awaitTargetPhase(MovedGuest guest, String wanted) throws Exception {
        Await.until(
                "phase " + wanted + " at b",
                DEADLINE,
                () -> {
                    JsonNode move = show(b, guest);
                    if (move.has("outcome")) {
                        throw new IOException("the move is over: " + move);
                    }
                    return move.path("phase").asText().equals(wanted);
                },
                () -> show(b, guest));
    }

    /** Waits until so many bytes have been sent in this move. */
    void awaitTransferred(MovedGuest guest, long bytes) throws Exception {
        Await.until(
                bytes + " bytes",
                DEADLINE,
                () -> {
                    JsonNode move = show(a, guest);
                    if (move.has("outcome")) {
                        throw new IOException("the move is over: " + move);
                    }
                    return move.path("progress").path("transferred").asLong() >= bytes;
                },
                () -> show(a, guest));
    }

    /** Waits until the source's QEMU says that its migration has come so far. */
    void awaitSaid(MovedGuest guest, String status) throws Exception {
        var _ = guest.source()
                .qmp()
                .awaitEvent("MIGRATION", data -> data.path("status").asText().equals(status), DEADLINE);
    }

    /** Breaks the link in the move, and lets it heal when it was seen to be down for so long, or the move is over. */
    void cutFor(MovedGuest guest, Cut cut, long millis) throws Exception {
        link.refuse();
        link.cut(cut);
        Await.until(
                "link seen to be down",
                DEADLINE,
                () -> {
                    JsonNode move = show(a, guest);
                    return move.has("outcome") || move.path("link-down-millis").asLong() >= millis;
                },
                () -> show(a, guest));
        link.heal();
    }

    /** Resets the link whenever it stands, some times a second, until the move is over. */
    void cutUntilTheEnd(MovedGuest guest) throws Exception {
        int[] seen = {0};
        Await.until(
                "end of the move",
                DEADLINE,
                () -> {
                    JsonNode move = show(a, guest);
                    if (!move.has("link-down-millis") && link.connectionCount() > seen[0]) {
                        seen[0] = link.connectionCount();
                        var _ = link.cutAfter(Direction.FORWARD, link.bytes(Direction.FORWARD) + (2 << 20), Cut.RESET);
                    }
                    return move.has("outcome");
                },
                () -> show(a, guest));
    }

    /** Waits until another move of the guest than that one is under way. */
    void awaitOther(MovedGuest guest, String id) throws Exception {
        Await.until(
                "another attempt",
                DEADLINE,
                () -> !show(a, guest).path("id").asText().equals(id),
                () -> show(a, guest));
    }

    /** Waits for a move other than {@code id}, of which a restarted daemon need not know. */
    JsonNode awaitNext(MovedGuest guest, String id) throws Exception {
        AtomicReference<JsonNode> next = new AtomicReference<>();
        Await.until(
                "another attempt",
                DEADLINE,
                () -> {
                    for (JsonNode move : moves(a)) {
                        if (move.path("guest").asText().equals(guest.name())
                                && !move.path("id").asText().equals(id)) {
                            next.set(move);
                        }
                    }
                    return next.get() != null;
                },
                () -> moves(a));
        return next.get();
    }

    private static JsonNode moves(MoveHost host) throws Exception {
        return host.daemon().qmp().execute("move-list", Map.of());
    }

    /** The last word about the guest's move at the source, when it is over and none follows. */
    JsonNode awaitEnd(MovedGuest guest) throws Exception {
        Await.until("end of the move", DEADLINE, () -> show(a, guest).has("outcome"), () -> show(a, guest));
        return show(a, guest);
    }

    /** The guest came whole, runs at b only, and nothing is left at a. */
    JsonNode assertMoved(MovedGuest guest, String id) throws Exception {
        JsonNode end = awaitEnd(guest);
        assertThat(end.path("outcome").asText()).as("%s", end).isEqualTo("moved");
        assertThat(end.path("where").asText()).isEqualTo("destination");
        assertThat(guest.source().hasEnded(DEADLINE))
                .as("the source's QEMU has quit")
                .isTrue();
        Await.until("guest at b", DEADLINE, () -> guest.watch().destinationRuns(), guest::facts);
        assertGoesOn(SerialLog.of(guest.sourceSerial(), guest.targetSerial()));
        Await.until(
                "end of the move at b",
                DEADLINE,
                () -> show(b, guest).path("outcome").asText().equals("moved"),
                () -> show(b, guest));
        assertThat(guest.target()).isPresent();
        guest.assertMonitorIsFree();
        assertThat(guest.leftSockets()).isEmpty();
        JsonNode report = report(end.path("id").asText());
        assertThat(report.path("outcome").asText()).isEqualTo("moved");
        assertThat(end.path("id").asText()).isEqualTo(id);
        return report;
    }

    /** The guest runs at a only, as if nothing had been, and nothing is left at b. */
    JsonNode assertStayed(MovedGuest guest, String outcome) throws Exception {
        JsonNode end = awaitEnd(guest);
        assertThat(end.path("outcome").asText()).as("%s", end).isEqualTo(outcome);
        assertThat(end.path("where").asText()).isEqualTo("source");
        assertRunsAtSource(guest);
        JsonNode report = report(end.path("id").asText());
        assertThat(report.path("outcome").asText()).isEqualTo(outcome);
        return report;
    }

    void assertRunsAtSource(MovedGuest guest) throws Exception {
        Await.until("guest at a", DEADLINE, () -> guest.watch().sourceRuns(), guest::facts);
        assertGoesOn(SerialLog.of(guest.sourceSerial()));
        assertNoGhost(guest);
    }

    /** There is no QEMU at b. */
    void assertNoGhost(MovedGuest guest) throws Exception {
        Await.until("no QEMU at b", DEADLINE, () -> guest.target().isEmpty(), guest::facts);
        Await.until("no sockets", DEADLINE, () -> guest.leftSockets().isEmpty(), guest::leftSockets);
    }

    /** Its output is whole, and more of it comes. */
    void assertGoesOn(SerialLog log) throws Exception {
        Scenario.awaitRound(log, log.lastRound() + 3);
        assertThat(log.damage()).isEmpty();
    }

    /** The report of a move, which is written when it is over. */
    JsonNode report(String id) throws Exception {
        Await.until("report", DEADLINE, () -> findReport(id).isPresent(), () -> id);
        return findReport(id).orElseThrow();
    }

    /** That the guest's downtime was measured. */
    static void assertDowntime(JsonNode report) {
        assertThat(report.path("downtime").path("total-millis").asDouble(-1))
                .as("downtime of %s", report.path("downtime"))
                .isBetween(0.0, 15_000.0);
    }

    private Optional<JsonNode> findReport(String id) throws Exception {
        try {
            return Optional.of(
                    a.daemon().qmp().execute("report-show", Map.of("id", id)).path("report"));
        } catch (QmpException e) {
            return Optional.empty();
        }
    }

    /** Whatever happened: never two, both daemons live and stop, and their journals have no open move. */
    void assertSound() throws Exception {
        for (MovedGuest guest : guests) {
            assertThat(guest.watch().samples()).isPositive();
            assertThat(guest.watch().ranTwice())
                    .as("two copies ran: %s", guest.facts())
                    .isEmpty();
        }
        if (isView()) {
            for (MoveHost host : List.of(a, b)) {
                Await.until("end of all moves", DEADLINE, () -> allEnded(host), () -> moves(host));
            }
            return;
        }
        for (MoveHost host : List.of(a, b)) {
            // By SIGTERM, as a JVM ends.
            assertThat(host.daemon().stop()).as(host.facts()).isEqualTo(128 + 15);
            Path scratch = Files.createDirectories(folder.resolve("scratch-" + host.name()));
            try (MoveJournal journal =
                    MoveJournal.open(host.daemon().stateFolder().resolve("moves.db"), scratch)) {
                assertThat(journal.openMoves()).as(host.facts()).isEmpty();
            }
        }
    }

    private static boolean allEnded(MoveHost host) throws Exception {
        for (JsonNode move : moves(host)) {
            if (!move.has("outcome")) {
                return false;
            }
        }
        return true;
    }

    String facts() throws IOException {
        StringBuilder facts = new StringBuilder(a.facts()).append('\n').append(b.facts());
        for (MovedGuest guest : guests) {
            facts.append('\n').append(guest.facts());
        }
        return facts.toString();
    }

    @Override
    public void close() throws Exception {
        if (isView()) {
            closeGuests();
            for (MovedGuest guest : guests) {
                a.forget(guest.name());
                b.forget(guest.name());
            }
            return;
        }
        try (link;
                a;
                b) {
            closeGuests();
        }
        // A daemon that lived to its end may have begun something while the guests were closed.
        for (MovedGuest guest : guests) {
            guest.target().ifPresent(ProcessHandle::destroyForcibly);
        }
    }

    private void closeGuests() throws Exception {
        for (MovedGuest guest : guests) {
            guest.close();
        }
    }
}
