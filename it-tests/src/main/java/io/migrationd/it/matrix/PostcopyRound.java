package io.migrationd.it.matrix;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.MissingNode;
import io.migrationd.it.fault.PostcopyLink;
import io.migrationd.it.fault.Step;
import io.migrationd.it.peer.Await;
import io.migrationd.it.peer.MigrationControl;
import io.migrationd.it.peer.QmpException;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.LockSupport;

/**
 * Carries out a {@link RoundPlan} and judges it: one copy of the guest runs at any time, one runs in the end, where it
 * has to, with all its pages, and the other one cannot be started.
 */
final class PostcopyRound {
    private static final Duration ATTACH_DEADLINE = Duration.ofSeconds(60);
    private static final Duration END_DEADLINE = Duration.ofSeconds(60);
    private static final Duration VERIFY_DEADLINE = Duration.ofSeconds(60);
    private static final Duration ORDER_DEADLINE = Duration.ofSeconds(5);
    /** Reports come each second. */
    private static final long TWO_REPORTS_MILLIS = 2_200;

    private static final long POLL_NANOS = TimeUnit.MILLISECONDS.toNanos(20);
    /** Pages of postcopy take half a second: the guest gets to ask for some. */
    private static final long SLOW_BYTES_PER_SECOND = 6 << 20;

    private static final String RUNNING = "running";

    private final Lab lab;
    private final RoundPlan plan;
    private final String guest;
    private final List<String> problems = new CopyOnWriteArrayList<>();
    private final List<String> sourceStatuses = new ArrayList<>();
    private final List<String> destinationStatuses = new ArrayList<>();
    private JsonNode sourceInfo = MissingNode.getInstance();
    private JsonNode destinationInfo = sourceInfo;

    PostcopyRound(Lab lab, RoundPlan plan) {
        this.lab = lab;
        this.plan = plan;
        this.guest = plan.name();
    }

    /** Moves the guest; it still exists when this returns. */
    RoundResult run() throws Exception {
        lab.source().revive();
        lab.destination().revive();
        startGuests();
        MigrationControl in = lab.destination().guest(guest);
        InetSocketAddress target = addressOf(in.incoming("tcp:127.0.0.1:0"));
        var hands = new LabHands(target);
        List<Step> script = plan.script().apply(hands);
        long start = System.nanoTime();
        try (PostcopyLink link = PostcopyLink.start(guest, target, script)) {
            hands.linkUri.complete(uri(link.address()));
            lab.source().ask(() -> {
                lab.source().guest(guest).migrate(uri(link.address()));
                return true;
            });
            Optional<Ending> ending = awaitEnd();
            if (plan.allHappens() && !link.played().isDone()) {
                problems.add(RoundResult.NOT_ALL_HAPPENED);
            }
            link.retire();
            boolean sourceCameBack = lab.source().revive();
            boolean destinationCameBack = lab.destination().revive();
            if (sourceCameBack || destinationCameBack) {
                // Killed at the very end: what is left has to be the same.
                ending = awaitEnd();
            }
            long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - start);
            List<String> history = new ArrayList<>(link.history());
            if (ending.isEmpty()) {
                history.add("threads of the source: " + lab.source().threads());
                history.add("threads of the destination: " + lab.destination().threads());
                problems.add("no end after %d s: source %s, %s, destination %s, %s"
                        .formatted(
                                END_DEADLINE.toSeconds(),
                                runState(lab.source()),
                                sourceInfo,
                                runState(lab.destination()),
                                destinationInfo));
            } else {
                judge(ending.get());
            }
            return result(ending.orElse(Ending.EITHER), millis, script, history);
        }
    }

    private void startGuests() throws Exception {
        String uuid =
                UUID.nameUUIDFromBytes(guest.getBytes(StandardCharsets.UTF_8)).toString();
        List<String> options = List.of("--ram", "16M", "--rate", "10000", "--touch", "random", "--uuid", uuid);
        List<String> incoming = new ArrayList<>(options);
        incoming.add("--incoming");
        lab.farm().startGuest("s:" + guest, guest, lab.source().guestSocket(), options);
        lab.farm().startGuest("d:" + guest, guest, lab.destination().guestSocket(), incoming);
        List<String> capabilities =
                plan.preempt() ? List.of("postcopy-ram", "postcopy-preempt") : List.of("postcopy-ram");
        for (Host host : List.of(lab.source(), lab.destination())) {
            Await.until("guest " + guest + " attached", ATTACH_DEADLINE, () -> host.hasGuest(guest), host::facts);
            host.guest(guest).enable(capabilities.toArray(String[]::new));
        }
        lab.source()
                .guest(guest)
                .set(Map.of(
                        "postcopy-policy",
                        "after-first-pass",
                        "max-bandwidth",
                        0,
                        "avail-switchover-bandwidth",
                        1,
                        "max-postcopy-bandwidth",
                        plan.slow() ? SLOW_BYTES_PER_SECOND : 0));
    }

    private static InetSocketAddress addressOf(String uri) {
        return new InetSocketAddress(
                InetAddress.getLoopbackAddress(), Integer.parseInt(uri.substring(uri.lastIndexOf(':') + 1)));
    }

    private static String uri(InetSocketAddress address) {
        return "tcp:127.0.0.1:" + address.getPort();
    }

    /** Looks again and again until the guest has settled. */
    private Optional<Ending> awaitEnd() throws Exception {
        long deadline = System.nanoTime() + END_DEADLINE.toNanos();
        while (System.nanoTime() - deadline < 0) {
            lab.source().revive();
            lab.destination().revive();
            Optional<Ending> ending = look();
            if (ending.isPresent()) {
                return ending;
            }
            LockSupport.parkNanos(POLL_NANOS);
        }
        return Optional.empty();
    }

    private Optional<Ending> look() throws Exception {
        String before = runState(lab.source());
        String there = runState(lab.destination());
        if (before.equals(RUNNING)
                && there.equals(RUNNING)
                && runState(lab.source()).equals(RUNNING)) {
            problems.add("both copies run");
        }
        sourceInfo = info(lab.source(), sourceInfo);
        destinationInfo = info(lab.destination(), destinationInfo);
        String sourceStatus = note(sourceStatuses, sourceInfo);
        String destinationStatus = note(destinationStatuses, destinationInfo);
        // A daemon that was killed before its part, or after it, knows of no migration when it is back.
        boolean forgot = plan.kills() && sourceStatus.equals("none");
        boolean gone = sourceStatus.equals("completed") || (forgot && before.equals("postmigrate"));
        boolean arrived = destinationStatus.equals("completed") || (plan.kills() && destinationStatus.equals("none"));
        if (gone && arrived && there.equals(RUNNING)) {
            return Optional.of(Ending.DESTINATION);
        }
        boolean stays = (sourceStatus.equals("failed") || forgot) && before.equals(RUNNING);
        boolean pending = destinationStatus.equals("setup") || destinationStatus.equals("active");
        return stays && !pending ? Optional.of(Ending.SOURCE) : Optional.empty();
    }

    private String runState(Host host) throws Exception {
        return host.ask(() -> known(() -> host.guest(guest).runState(), "absent"))
                .orElse("dead");
    }

    private JsonNode info(Host host, JsonNode last) throws Exception {
        return host.ask(() -> known(() -> host.guest(guest).info(), last)).orElse(last);
    }

    /** A daemon that has just come back does not know its guests yet. */
    private static <T> T known(Host.Question<T> question, T absent) throws Exception {
        try {
            return question.ask();
        } catch (QmpException e) {
            if (String.valueOf(e.getMessage()).contains("not found")) {
                return absent;
            }
            throw e;
        }
    }

    private static String note(List<String> statuses, JsonNode info) {
        String status = info.path("status").asText("none");
        if (statuses.isEmpty() || !statuses.getLast().equals(status)) {
            statuses.add(status);
        }
        return status;
    }

    private void judge(Ending ending) throws Exception {
        if (!plan.expected().allows(ending)) {
            problems.add("the guest is at the " + ending + ", expected: " + plan.expected());
        }
        Host winner = ending == Ending.SOURCE ? lab.source() : lab.destination();
        Host loser = ending == Ending.SOURCE ? lab.destination() : lab.source();
        long before = winner.check(guest).operations();
        try {
            Await.until(
                    "check of the guest",
                    VERIFY_DEADLINE,
                    () -> {
                        GuestCheck check = winner.check(guest);
                        return check.violations() > 0
                                || (check.verified() && (ending == Ending.DESTINATION || check.operations() > before));
                    },
                    () -> winner.check(guest));
        } catch (TimeoutException e) {
            problems.add(String.valueOf(e.getMessage()));
        }
        judgeCheck(winner.check(guest));
        String idle = runState(loser);
        if (idle.equals(RUNNING)) {
            problems.add("the other copy runs");
        }
        try {
            loser.guest(guest).cont();
            problems.add("cont of the other copy (" + idle + ") was not refused");
        } catch (QmpException refused) {
            // As it has to be.
        }
    }

    private void judgeCheck(GuestCheck check) {
        if (check.violations() != 0) {
            problems.add("%d violations: %s".formatted(check.violations(), check.first()));
        }
    }

    private RoundResult result(Ending ending, long millis, List<Step> script, List<String> history) {
        JsonNode postcopy = sourceInfo.path("postcopy");
        List<String> causes = new ArrayList<>();
        postcopy.path("recoveries").forEach(one -> causes.add(one.path("cause").asText()));
        return new RoundResult(
                guest,
                ending,
                List.copyOf(problems),
                List.copyOf(sourceStatuses),
                List.copyOf(destinationStatuses),
                sourceInfo.path("error-desc").asText(""),
                causes,
                postcopy.path("recovery-count").asLong(),
                millis,
                script.stream().map(Step::toString).toList(),
                history);
    }

    /**
     * What shows only later: the copy that does not run does not count on in its own reports, and the other does. Then
     * the guest is removed. Takes some seconds, in which other rounds may run.
     */
    List<String> retire(RoundResult result) throws Exception {
        List<String> late = new ArrayList<>();
        if (result.ending() != Ending.EITHER) {
            Host winner = result.ending() == Ending.SOURCE ? lab.source() : lab.destination();
            Host loser = result.ending() == Ending.SOURCE ? lab.destination() : lab.source();
            // The first report after the end may tell what was done before it.
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(TWO_REPORTS_MILLIS));
            long idleBefore = loser.check(guest).operations();
            long busyBefore = winner.check(guest).operations();
            LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(TWO_REPORTS_MILLIS));
            GuestCheck idle = loser.check(guest);
            GuestCheck busy = winner.check(guest);
            if (idle.operations() != idleBefore) {
                late.add("the other copy writes");
            }
            if (busy.operations() == busyBefore) {
                late.add("the guest does not write");
            }
            if (busy.violations() != 0) {
                late.add("%d violations later: %s".formatted(busy.violations(), busy.first()));
            }
        }
        if (late.isEmpty() && result.isGood()) {
            lab.remove(guest);
        }
        return late;
    }

    private final class LabHands implements RoundPlan.Hands {
        private final InetSocketAddress target;
        private final CompletableFuture<String> linkUri = new CompletableFuture<>();
        /** Used by one errand. */
        private volatile String lastRefusal = "";

        LabHands(InetSocketAddress target) {
            this.target = target;
        }

        @Override
        public void killSource() {
            lab.source().kill();
        }

        @Override
        public void killDestination() {
            lab.destination().kill();
        }

        @Override
        public void strayConnection(byte[] bytes) {
            try (Socket socket = new Socket(target.getAddress(), target.getPort())) {
                socket.getOutputStream().write(bytes);
            } catch (IOException refused) {
                // The destination may do that as well.
            }
        }

        @Override
        public void operator(RoundPlan.Order... orders) {
            lab.errands().execute(() -> {
                try {
                    for (RoundPlan.Order order : orders) {
                        Await.until(order.toString(), ORDER_DEADLINE, () -> isTaken(order), () -> lastRefusal);
                    }
                } catch (Exception e) {
                    problems.add(String.valueOf(e.getMessage()));
                }
            });
        }

        /** An operator who is told that it is too early tries again. */
        private boolean isTaken(RoundPlan.Order order) throws IOException, TimeoutException, InterruptedException {
            try {
                obey(order);
                return true;
            } catch (QmpException e) {
                lastRefusal = e.description();
                return false;
            }
        }

        private void obey(RoundPlan.Order order) throws IOException, TimeoutException, InterruptedException {
            MigrationControl source = lab.source().guest(guest);
            MigrationControl destination = lab.destination().guest(guest);
            switch (order) {
                case PAUSE_SOURCE -> source.execute("migrate-pause", Map.of());
                case PAUSE_DESTINATION -> destination.execute("migrate-pause", Map.of());
                case RECOVER -> destination.execute("migrate-recover", Map.of("uri", uri(target)));
                case RESUME -> source.execute("migrate", Map.of("uri", linkUri.join(), "resume", true));
            }
        }
    }
}
