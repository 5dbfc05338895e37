package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.guest.qemu.MoveDefaults.PostcopyUse;
import io.migrationd.migrationd.guest.qemu.TargetFacts.QemuAbilities;
import io.migrationd.migrationd.guest.qemu.TargetFacts.Way;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/** What stands in the way of a move: everything at once, before anything is started. Pure. */
public final class Preflight {
    /** A certificate that ends sooner is worth a word. */
    static final Duration CERTIFICATE_WARNING = Duration.ofDays(30);

    /** A QEMU needs more than its guest's RAM: tables, device memory, buffers. */
    static final long MEMORY_MARGIN_BYTES = 256L << 20;

    private static final int MEMORY_MARGIN_PERCENT = 5;

    /** The first version with which postcopy over multifd was tried. */
    private static final QemuVersion POSTCOPY_WITH_MULTIFD = new QemuVersion(11, 1, 0);

    /**
     * From here on (tried: 11.1.2) a TCG guest that is stopped before migrate-start-postcopy, as a move has to, lost
     * writes in every second or third run, with and without daemons.
     */
    private static final QemuVersion TCG_LOSES_WRITES = new QemuVersion(11, 0, 0);

    /** From here on a source with auto-converge stands still, guest and monitor, while its stream does. */
    private static final QemuVersion AUTO_CONVERGE_FREEZES = new QemuVersion(10, 0, 0);

    /** A paused guest, also one that has never run, migrates and arrives paused. */
    private static final Set<String> MOVABLE_STATES = Set.of("running", "paused", "suspended", "prelaunch");

    /** CPU models that are what the host makes of them. */
    private static final Set<String> HOST_MODELS = Set.of("host", "max");

    private final QemuFacts source;
    private final MoveWishes wishes;
    private final List<Problem> problems = new ArrayList<>();

    private Preflight(QemuFacts source, MoveWishes wishes) {
        this.source = source;
        this.wishes = wishes;
    }

    /**
     * Compares.
     *
     * @param target empty if the other daemon could not be asked
     */
    public static List<Problem> compare(QemuFacts source, Optional<TargetFacts> target, MoveWishes wishes) {
        Preflight preflight = new Preflight(source, wishes);
        preflight.checkSource();
        preflight.checkWishes();
        preflight.checkLink();
        target.ifPresent(preflight::checkTarget);
        return List.copyOf(preflight.problems);
    }

    /** What can be said of a guest before it is known where it shall go. */
    public static List<Problem> ofSource(QemuFacts source, MoveWishes wishes) {
        Preflight preflight = new Preflight(source, wishes);
        preflight.checkSource();
        preflight.checkWishes();
        return List.copyOf(preflight.problems);
    }

    private void error(String code, String text, Object... values) {
        problems.add(Problem.error(code, text, values));
    }

    private void warning(String code, String text, Object... values) {
        problems.add(Problem.warning(code, text, values));
    }

    // ---- the source ----

    private void checkSource() {
        source.uuid()
                .filter(uuid -> !uuid.equals(wishes.uuid()))
                .ifPresent(uuid -> error(
                        "uuid-differs", "the QEMU has uuid %s, its definition here says %s", uuid, wishes.uuid()));
        if (source.uuid().isEmpty()) {
            error(
                    "uuid-differs",
                    "the QEMU has no uuid, its definition here says %s: start it with -uuid",
                    wishes.uuid());
        }
        String state = source.runState().name();
        if (!MOVABLE_STATES.contains(state)) {
            error("run-state", "the guest is in run state %s; only one that runs or is paused can move", state);
        }
        if (!QemuStatus.named(source.migrationStatus()).isIdle()) {
            error("migration-under-way", "a migration is %s already", source.migrationStatus());
        }
        source.blockedReasons().forEach(reason -> error("blocked", "QEMU refuses to migrate: %s", reason));
        requireCapabilities("the source's QEMU", source.version(), source.capabilities(), sourceCapabilities());
        requireParameters("the source's QEMU", source.version(), source.parameters(), sourceParameters());
        if (wishes.move().autoConverge() && source.version().compareTo(AUTO_CONVERGE_FREEZES) >= 0) {
            warning(
                    "auto-converge",
                    "with auto-converge a QEMU %s stands still, guest and monitor, while the link does",
                    source.version());
        }
        if (HOST_MODELS.contains(source.cpuModel())) {
            warning(
                    "cpu-model-host",
                    "CPU model %s is what each host makes of it; the hosts must be alike",
                    source.cpuModel());
        }
    }

    private void checkWishes() {
        MoveDefaults move = wishes.move();
        if (move.preempt() && !wantsPostcopy()) {
            error("preempt-alone", "preempt needs postcopy");
        }
        if (move.xbzrle() && move.multifdChannels() > 0) {
            error("xbzrle-multifd", "xbzrle and multifd exclude each other");
        }
        requirePostcopyWithMultifd("source", source.version());
        if (wantsPostcopy() && !source.kvm() && source.version().compareTo(TCG_LOSES_WRITES) >= 0) {
            error(
                    "tcg-postcopy",
                    "postcopy of a guest without KVM from a QEMU %s loses the guest's last writes; move it without postcopy",
                    source.version());
        }
    }

    private void requirePostcopyWithMultifd(String end, QemuVersion version) {
        if (wantsPostcopy() && wishes.move().multifdChannels() > 0 && version.compareTo(POSTCOPY_WITH_MULTIFD) < 0) {
            error(
                    "postcopy-multifd",
                    "postcopy with multifd needs QEMU %s or later; the %s has %s",
                    POSTCOPY_WITH_MULTIFD,
                    end,
                    version);
        }
    }

    // ---- the way ----

    private void checkLink() {
        wishes.linkProblem().ifPresent(reason -> error("link", "the other daemon cannot be reached: %s", reason));
        wishes.certificateExpires().ifPresent(this::checkCertificate);
    }

    private void checkCertificate(Instant expires) {
        Duration left = Duration.between(wishes.now(), expires);
        if (!left.isPositive()) {
            error("certificate-expired", "a certificate of the link has expired at %s", expires);
        } else if (left.compareTo(CERTIFICATE_WARNING) < 0) {
            warning(
                    "certificate-expires",
                    "a certificate of the link expires in %d days, at %s",
                    left.toDays(),
                    expires);
        }
    }

    // ---- the destination ----

    private void checkTarget(TargetFacts target) {
        if (!target.daemonVersion().equals(wishes.daemonVersion())) {
            warning(
                    "daemon-version",
                    "the daemons are of versions %s here and %s there",
                    wishes.daemonVersion(),
                    target.daemonVersion());
        }
        target.problems().forEach(problem -> warning("target-unknown", "the destination says: %s", problem));
        target.clashes().forEach(clash -> error("name-clash", "at the destination: %s", clash));
        if (target.uuid().isEmpty()) {
            error("no-definition", "the destination has no definition of guest %s", wishes.guest());
        } else if (target.way() == Way.NONE) {
            error("no-incoming", "the destination's definition of %s has no [incoming]", wishes.guest());
        }
        target.uuid()
                .filter(uuid -> !uuid.equals(wishes.uuid()))
                .ifPresent(uuid ->
                        error("uuid-differs", "the definitions say uuid %s here and %s there", wishes.uuid(), uuid));
        if (wantsPostcopy() && !target.userfaultfd()) {
            error(
                    "userfaultfd",
                    "the destination cannot serve postcopy: it has no userfaultfd; %s",
                    target.userfaultfdRemedy());
        }
        if (source.kvm() && !target.kvm()) {
            warning("kvm", "the guest runs with KVM, which the destination does not have");
        }
        // A QEMU that waits has its memory promised already.
        if (target.way() == Way.START && target.waiting().isEmpty()) {
            checkMemory(target.availableBytes());
        }
        target.qemu().ifPresent(this::checkAbilities);
        target.waiting().ifPresent(this::checkWaiting);
    }

    private void checkMemory(long available) {
        long ram = source.ramBytes();
        long needed = ram + ram / 100 * MEMORY_MARGIN_PERCENT + MEMORY_MARGIN_BYTES;
        if (available < needed) {
            error(
                    "memory",
                    "the destination has %d MiB available; the guest's %d MiB and a margin of %d MiB are needed",
                    available >> 20,
                    ram >> 20,
                    (needed - ram) >> 20);
        }
    }

    private void checkAbilities(QemuAbilities qemu) {
        QemuVersion version = qemu.version();
        if (!qemu.machineTypes().contains(source.machineType())) {
            error("machine-type", "the destination's QEMU %s has no machine %s", version, source.machineType());
        }
        if (version.major() < source.version().major()
                || (version.major() == source.version().major()
                        && version.minor() < source.version().minor())) {
            warning(
                    "version-older",
                    "the destination's QEMU %s is older than the source's %s; QEMU supports the other direction only",
                    version,
                    source.version());
        }
        if (!qemu.cpuModels().contains(source.cpuModel())) {
            error("cpu-model", "the destination's QEMU %s has no CPU model %s", version, source.cpuModel());
        }
        requireCapabilities("the destination's QEMU", version, qemu.capabilities(), sharedCapabilities());
        requireParameters("the destination's QEMU", version, qemu.parameters(), sharedParameters());
        requirePostcopyWithMultifd("destination", version);
    }

    private void checkWaiting(QemuFacts waiting) {
        if (!waiting.runState().name().equals("inmigrate")) {
            error(
                    "not-waiting",
                    "the destination's QEMU is in run state %s and not in inmigrate",
                    waiting.runState().name());
        }
        if (!QemuStatus.named(waiting.migrationStatus()).isIdle()) {
            error("not-waiting", "the destination's QEMU has a migration that is %s", waiting.migrationStatus());
        }
        waiting.uuid()
                .filter(uuid -> !uuid.equals(wishes.uuid()))
                .ifPresent(uuid -> error("uuid-differs", "the destination's QEMU has uuid %s", uuid));
        same("machine-type", "machine", source.machineType(), waiting.machineType());
        same("cpu-model", "CPU model", source.cpuModel(), waiting.cpuModel());
        same("vcpus", "vCPUs", source.vcpus(), waiting.vcpus());
        same("ram", "bytes of RAM", source.ramBytes(), waiting.ramBytes());
        checkBlocks(waiting);
    }

    private void same(String code, String what, Object here, Object there) {
        if (!here.equals(there)) {
            error(code, "%s: %s at the source and %s at the destination", what, here, there);
        }
    }

    /** The stream announces what is used; the destination makes room for it, up to its maximum. */
    private void checkBlocks(QemuFacts waiting) {
        Map<String, QemuBlock> there = waiting.blocks().stream()
                .collect(Collectors.toMap(QemuBlock::name, Function.identity(), (first, second) -> first));
        for (QemuBlock block : source.blocks()) {
            @Nullable QemuBlock other = there.remove(block.name());
            if (other == null) {
                error("blocks", "the destination's QEMU has no RAM block %s", block.name());
            } else if (other.maxBytes() != block.maxBytes() || block.usedBytes() > other.maxBytes()) {
                error(
                        "blocks",
                        "RAM block %s has %d bytes of %d at the source and up to %d at the destination",
                        block.name(),
                        block.usedBytes(),
                        block.maxBytes(),
                        other.maxBytes());
            } else if (other.pageSizeBytes() != block.pageSizeBytes() && wantsPostcopy()) {
                error(
                        "blocks",
                        "RAM block %s has pages of %d bytes at the source and of %d at the destination: not for postcopy",
                        block.name(),
                        block.pageSizeBytes(),
                        other.pageSizeBytes());
            }
        }
        there.keySet().stream()
                .sorted()
                .forEach(name -> error("blocks", "only the destination's QEMU has RAM block %s", name));
    }

    // ---- what is needed where ----

    private boolean wantsPostcopy() {
        return wishes.move().postcopy() != PostcopyUse.NEVER;
    }

    private List<String> sourceCapabilities() {
        List<String> needed = new ArrayList<>(List.of("events", "return-path", "pause-before-switchover"));
        if (wishes.move().autoConverge()) {
            needed.add("auto-converge");
        }
        needed.addAll(sharedCapabilities());
        return needed;
    }

    private List<String> sharedCapabilities() {
        List<String> needed = new ArrayList<>();
        MoveDefaults move = wishes.move();
        if (wantsPostcopy()) {
            needed.add("postcopy-ram");
        }
        if (move.preempt()) {
            needed.add("postcopy-preempt");
        }
        if (move.multifdChannels() > 0) {
            needed.add("multifd");
        }
        if (move.xbzrle()) {
            needed.add("xbzrle");
        }
        return needed;
    }

    private List<String> sourceParameters() {
        List<String> needed = new ArrayList<>(List.of("downtime-limit", "max-bandwidth"));
        needed.addAll(sharedParameters());
        return needed;
    }

    private List<String> sharedParameters() {
        return wishes.move().multifdChannels() > 0 ? List.of("multifd-channels") : List.of();
    }

    private void requireCapabilities(String whose, QemuVersion version, Set<String> known, List<String> needed) {
        needed.stream()
                .filter(name -> !known.contains(name))
                .forEach(name -> error("capability", "%s %s has no capability %s", whose, version, name));
    }

    private void requireParameters(String whose, QemuVersion version, Set<String> known, List<String> needed) {
        needed.stream()
                .filter(name -> !known.contains(name))
                .forEach(name -> error("parameter", "%s %s has no parameter %s", whose, version, name));
    }
}
