package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.guest.qemu.MoveDefaults.AfterSuccess;
import io.migrationd.migrationd.guest.qemu.MoveDefaults.PostcopyUse;
import io.migrationd.migrationd.guest.qemu.TargetFacts.QemuAbilities;
import io.migrationd.migrationd.guest.qemu.TargetFacts.Way;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;
import java.util.UUID;

/** A guest and a host that fit; tests spoil one thing at a time. */
final class SampleFacts {
    static final UUID ID = UUID.fromString("11111111-2222-3333-4444-555555555555");
    static final Instant NOW = Instant.parse("2030-01-01T00:00:00Z");
    static final SortedSet<String> CAPABILITIES = set(
            "events",
            "return-path",
            "pause-before-switchover",
            "postcopy-ram",
            "postcopy-preempt",
            "multifd",
            "xbzrle",
            "auto-converge");
    static final SortedSet<String> PARAMETERS = set("downtime-limit", "max-bandwidth", "multifd-channels");

    QemuVersion version = new QemuVersion(7, 2, 22);
    Optional<UUID> uuid = Optional.of(ID);
    String machine = "pc-i440fx-7.2";
    String cpu = "qemu64";
    int vcpus = 2;
    boolean kvm;
    long ram = 1L << 30;
    List<QemuBlock> blocks = new ArrayList<>(
            List.of(new QemuBlock("pc.ram", 4096, 1 << 30, 1 << 30), new QemuBlock("acpi", 4096, 5, 9)));
    SortedSet<String> capabilities = new TreeSet<>(CAPABILITIES);
    SortedSet<String> parameters = new TreeSet<>(PARAMETERS);
    QemuRunState state = new QemuRunState("running", true);
    String migration = "none";
    List<String> blocked = List.of();

    String targetDaemon = "1.0";
    Optional<UUID> targetUuid = Optional.of(ID);
    Way way = Way.START;
    QemuVersion targetVersion = new QemuVersion(10, 0, 13);
    SortedSet<String> machines = set("pc-i440fx-7.2", "pc-i440fx-10.0");
    SortedSet<String> cpus = set("qemu64", "host", "max");
    SortedSet<String> targetCapabilities = new TreeSet<>(CAPABILITIES);
    SortedSet<String> targetParameters = new TreeSet<>(PARAMETERS);
    Optional<QemuFacts> waiting = Optional.empty();
    boolean userfaultfd = true;
    long available = 8L << 30;
    List<String> clashes = List.of();
    List<String> problems = List.of();

    PostcopyUse postcopy = PostcopyUse.NEVER;
    boolean preempt;
    int multifd;
    boolean xbzrle;
    boolean autoConverge;
    Optional<String> link = Optional.empty();
    Optional<Instant> certificate = Optional.empty();

    static SortedSet<String> set(String... names) {
        return new TreeSet<>(List.of(names));
    }

    QemuFacts source() {
        return new QemuFacts(
                Optional.of("web01"),
                uuid,
                version,
                machine,
                cpu,
                vcpus,
                kvm,
                ram,
                List.copyOf(blocks),
                capabilities,
                parameters,
                state,
                migration,
                blocked);
    }

    TargetFacts target() {
        return new TargetFacts(
                targetDaemon,
                targetUuid,
                way,
                Optional.of(new QemuAbilities(targetVersion, machines, cpus, targetCapabilities, targetParameters)),
                waiting,
                false,
                userfaultfd,
                "set the sysctl",
                available,
                clashes,
                problems);
    }

    MoveWishes wishes() {
        return new MoveWishes(
                "web01",
                ID,
                new MoveDefaults(300, 3000, 0, postcopy, preempt, multifd, xbzrle, autoConverge, AfterSuccess.QUIT, 3),
                "1.0",
                link,
                certificate,
                NOW);
    }

    /** The same as a QEMU that waits for it. */
    void waits() {
        QemuRunState here = state;
        state = new QemuRunState("inmigrate", false);
        waiting = Optional.of(source());
        state = here;
    }

    List<Problem> problems() {
        return Preflight.compare(source(), Optional.of(target()), wishes());
    }
}
