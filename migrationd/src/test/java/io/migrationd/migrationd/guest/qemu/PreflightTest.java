package io.migrationd.migrationd.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.qemu.MoveDefaults.PostcopyUse;
import io.migrationd.migrationd.guest.qemu.Problem.Severity;
import io.migrationd.migrationd.guest.qemu.TargetFacts.Way;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Preflight")
class PreflightTest {
    private static Arguments row(String expected, String text, Consumer<SampleFacts> spoil) {
        return Arguments.of(expected, text, spoil);
    }

    /** Code, with ~ before it for a warning; part of the text; what is wrong. */
    static Stream<Arguments> spoiled() {
        return Stream.of(
                row("uuid-differs", "the QEMU has uuid", s -> s.uuid = Optional.of(new UUID(1, 1))),
                row("uuid-differs", "start it with -uuid", s -> s.uuid = Optional.empty()),
                row("uuid-differs", "here and", s -> s.targetUuid = Optional.of(new UUID(1, 1))),
                row("run-state", "postmigrate", s -> s.state = new QemuRunState("postmigrate", false)),
                row("run-state", "inmigrate", s -> s.state = new QemuRunState("inmigrate", false)),
                row("run-state", "guest-panicked", s -> s.state = new QemuRunState("guest-panicked", false)),
                row("migration-under-way", "postcopy-paused", s -> s.migration = "postcopy-paused"),
                row("migration-under-way", "teleporting", s -> s.migration = "teleporting"),
                row("blocked", "disk is local", s -> s.blocked = List.of("disk is local")),
                row(
                        "capability",
                        "source's QEMU 7.2.22 has no capability return-path",
                        s -> s.capabilities.remove("return-path")),
                row(
                        "parameter",
                        "source's QEMU 7.2.22 has no parameter downtime-limit",
                        s -> s.parameters.remove("downtime-limit")),
                row("~cpu-model-host", "host", s -> s.cpu = "host"),
                row("preempt-alone", "needs postcopy", s -> s.preempt = true),
                row("link", "refused", s -> s.link = Optional.of("refused")),
                row("certificate-expired", "expired at", s -> s.certificate = Optional.of(SampleFacts.NOW)),
                row(
                        "~certificate-expires",
                        "in 29 days",
                        s -> s.certificate = Optional.of(SampleFacts.NOW.plus(Duration.ofDays(29)))),
                row("~daemon-version", "1.0 here and 2.0 there", s -> s.targetDaemon = "2.0"),
                row("~target-unknown", "cannot start", s -> s.problems = List.of("cannot start")),
                row("name-clash", "web01 runs there", s -> s.clashes = List.of("web01 runs there")),
                row("no-definition", "guest web01", s -> {
                    s.targetUuid = Optional.empty();
                    s.way = Way.NONE;
                }),
                row("no-incoming", "no [incoming]", s -> s.way = Way.NONE),
                row("~kvm", "KVM", s -> s.kvm = true),
                row(
                        "memory",
                        "has 1330 MiB available; the guest's 1024 MiB and a margin of 307 MiB",
                        s -> s.available = 1330 << 20),
                row("machine-type", "no machine pc-q35-9.0", s -> s.machine = "pc-q35-9.0"),
                row(
                        "~version-older",
                        "6.2.0 is older than the source's 7.2.22",
                        s -> s.targetVersion = new QemuVersion(6, 2, 0)),
                row("cpu-model", "no CPU model EPYC", s -> s.cpu = "EPYC"),
                row("capability", "destination's QEMU 10.0.13 has no capability xbzrle", s -> {
                    s.xbzrle = true;
                    s.targetCapabilities.remove("xbzrle");
                }),
                row("parameter", "destination's QEMU 10.0.13 has no parameter multifd-channels", s -> {
                    s.multifd = 2;
                    s.targetParameters.remove("multifd-channels");
                }),
                row("xbzrle-multifd", "exclude each other", s -> {
                    s.multifd = 2;
                    s.xbzrle = true;
                }),
                row("postcopy-multifd", "the source has 7.2.22", s -> {
                    s.multifd = 2;
                    s.postcopy = PostcopyUse.WHEN_STUCK;
                    s.targetVersion = new QemuVersion(11, 1, 0);
                }),
                row("~auto-converge", "QEMU 10.0.0 stands still", s -> {
                    s.version = new QemuVersion(10, 0, 0);
                    s.autoConverge = true;
                }),
                row("userfaultfd", "set the sysctl", s -> {
                    s.userfaultfd = false;
                    s.postcopy = PostcopyUse.AFTER_FIRST_PASS;
                }),
                row("vcpus", "vCPUs: 3 at the source and 2", s -> {
                    s.waits();
                    s.vcpus = 3;
                }),
                row("ram", "bytes of RAM: 5 at the source", s -> {
                    s.waits();
                    s.ram = 5;
                }),
                row("machine-type", "machine: pc-i440fx-10.0 at the source and pc-i440fx-7.2", s -> {
                    s.waits();
                    s.machine = "pc-i440fx-10.0";
                }),
                row("blocks", "has no RAM block dimm0", s -> {
                    s.waits();
                    s.blocks.add(new QemuBlock("dimm0", 4096, 1, 1));
                }),
                row("blocks", "only the destination's QEMU has RAM block acpi", s -> {
                    s.waits();
                    s.blocks.removeLast();
                }),
                row("blocks", "RAM block pc.ram has 7 bytes of 7", s -> {
                    s.waits();
                    s.blocks.set(0, new QemuBlock("pc.ram", 4096, 7, 7));
                }),
                row("blocks", "not for postcopy", s -> {
                    s.waits();
                    s.postcopy = PostcopyUse.WHEN_STUCK;
                    s.blocks.set(0, new QemuBlock("pc.ram", 2 << 20, 1 << 30, 1 << 30));
                }),
                row("not-waiting", "run state running", s -> s.waiting = Optional.of(s.source())));
    }

    @Test
    void findsNothingWhereAllFits() {
        SampleFacts facts = new SampleFacts();
        assertThat(facts.problems()).isEmpty();
        facts.waits();
        assertThat(facts.problems()).isEmpty();
    }

    @ParameterizedTest(name = "{0}: {1}")
    @MethodSource("spoiled")
    void findsOneThing(String expected, String text, Consumer<SampleFacts> spoil) {
        SampleFacts facts = new SampleFacts();
        spoil.accept(facts);
        boolean warning = expected.startsWith("~");
        assertThat(facts.problems()).singleElement().satisfies(problem -> {
            assertThat(problem.code()).isEqualTo(warning ? expected.substring(1) : expected);
            assertThat(problem.severity()).isEqualTo(warning ? Severity.WARNING : Severity.ERROR);
            assertThat(problem.text()).contains(text);
        });
        assertThat(Problem.anyError(facts.problems())).isEqualTo(!warning);
    }

    @Test
    void findsEverythingAtOnce() {
        SampleFacts facts = new SampleFacts();
        facts.preempt = true;
        facts.available = 0;
        facts.cpu = "EPYC";
        facts.blocked = List.of("a", "b");
        facts.machine = "none";
        assertThat(facts.problems())
                .extracting(Problem::code)
                .containsExactly("blocked", "blocked", "preempt-alone", "memory", "machine-type", "cpu-model");
    }

    @Test
    void asksBothEndsForPostcopyWithMultifd() {
        SampleFacts facts = new SampleFacts();
        facts.multifd = 2;
        facts.postcopy = PostcopyUse.WHEN_STUCK;
        assertThat(facts.problems())
                .extracting(Problem::text)
                .containsExactly(
                        "postcopy with multifd needs QEMU 11.1.0 or later; the source has 7.2.22",
                        "postcopy with multifd needs QEMU 11.1.0 or later; the destination has 10.0.13");
        facts.version = new QemuVersion(11, 1, 0);
        facts.targetVersion = facts.version;
        facts.kvm = true;
        assertThat(facts.problems()).extracting(Problem::code).containsExactly("kvm");
    }

    @Test
    void refusesPostcopyFromAQemuThatLosesWrites() {
        SampleFacts facts = new SampleFacts();
        facts.version = new QemuVersion(11, 1, 2);
        facts.targetVersion = facts.version;
        facts.postcopy = PostcopyUse.WHEN_STUCK;
        assertThat(facts.problems()).extracting(Problem::code).containsExactly("tcg-postcopy");
        facts.version = new QemuVersion(10, 0, 13);
        assertThat(facts.problems()).isEmpty();
        facts.version = facts.targetVersion;
        facts.postcopy = PostcopyUse.NEVER;
        assertThat(facts.problems()).isEmpty();
    }

    @Test
    void doesWithoutATargetThatCannotBeAsked() {
        SampleFacts facts = new SampleFacts();
        facts.link = Optional.of("no route");
        assertThat(Preflight.compare(facts.source(), Optional.empty(), facts.wishes()))
                .extracting(Problem::code)
                .containsExactly("link");
    }

    /** What fits: a paused guest, a block that may grow, a waiting QEMU on a host that is short of memory. */
    @Test
    void letsPassWhatFits() {
        SampleFacts facts = new SampleFacts();
        facts.waits();
        facts.way = Way.WAITING;
        facts.available = 0;
        facts.state = new QemuRunState("paused", false);
        facts.migration = "cancelled";
        facts.blocks.set(1, new QemuBlock("acpi", 4096, 8, 9));
        facts.certificate = Optional.of(SampleFacts.NOW.plus(Duration.ofDays(31)));
        assertThat(facts.problems()).isEmpty();
    }
}
