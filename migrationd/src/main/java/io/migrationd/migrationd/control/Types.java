package io.migrationd.migrationd.control;

import static io.migrationd.migrationd.control.QmpType.Builtin.ANY;
import static io.migrationd.migrationd.control.QmpType.Builtin.BOOLEAN;
import static io.migrationd.migrationd.control.QmpType.Builtin.INTEGER;
import static io.migrationd.migrationd.control.QmpType.Builtin.NUMBER;
import static io.migrationd.migrationd.control.QmpType.Builtin.STRING;
import static io.migrationd.migrationd.control.QmpType.Member.optional;
import static io.migrationd.migrationd.control.QmpType.Member.required;

import io.migrationd.migrationd.control.QmpType.Enumeration;
import io.migrationd.migrationd.control.QmpType.ListOf;
import io.migrationd.migrationd.control.QmpType.Struct;
import io.migrationd.migrationd.control.QmpType.Union;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.PostcopyPolicy;
import java.util.Arrays;
import java.util.List;
import java.util.Map;

/**
 * The types of the command table. Names and members: QEMU 10.0 qapi/migration.json (of postcopy latencies: 10.1),
 * sockets.json, run-state.json and control.json, less what this daemon does not do; ours begin with {@code Guest},
 * {@code Daemon} or {@code x-}.
 */
final class Types {
    /** An empty object. */
    static final Struct NOTHING = Struct.of("Nothing");

    static final Enumeration MIGRATION_STATUS = QmpType.enumeration(
            "MigrationStatus",
            "none",
            "setup",
            "cancelling",
            "cancelled",
            "active",
            "completed",
            "failed",
            "pre-switchover",
            "device",
            "postcopy-active",
            "postcopy-paused",
            "postcopy-recover-setup",
            "postcopy-recover");

    static final Enumeration RUN_STATE = new Enumeration(
            "RunState", Arrays.stream(RunState.values()).map(RunState::qmpName).toList());

    static final Enumeration GUEST_KIND = new Enumeration(
            "GuestKind",
            Arrays.stream(GuestKind.values()).map(GuestKind::jsonName).toList());

    /** Arguments name any capability that we know; what cannot be switched on is refused with a better text. */
    static final Enumeration KNOWN_CAPABILITY = capabilities("KnownMigrationCapability", false);

    static final Enumeration CAPABILITY = capabilities("MigrationCapability", true);

    static final Struct CAPABILITY_STATUS =
            Struct.of("MigrationCapabilityStatus", required("capability", CAPABILITY), required("state", BOOLEAN));

    static final Struct CAPABILITY_CHANGE = Struct.of(
            "MigrationCapabilityChange", required("capability", KNOWN_CAPABILITY), required("state", BOOLEAN));

    static final Struct INET_ADDRESS = Struct.of(
            "InetSocketAddressWrapper",
            required("host", STRING),
            required("port", STRING),
            optional("numeric", BOOLEAN));

    static final Struct UNIX_ADDRESS = Struct.of("UnixSocketAddressWrapper", required("path", STRING));

    static final Union SOCKET_ADDRESS = new Union(
            "SocketAddress",
            List.of(required("type", QmpType.enumeration("SocketAddressType", "inet", "unix"))),
            "type",
            Map.of("inet", INET_ADDRESS, "unix", UNIX_ADDRESS));

    /** QEMU's {@code MigrationAddress}: the socket address stands beside the transport, not below it. */
    static final Union MIGRATION_ADDRESS = new Union(
            "MigrationAddress",
            List.of(
                    required("transport", QmpType.enumeration("MigrationAddressType", "socket")),
                    required("type", QmpType.enumeration("SocketAddressType", "inet", "unix"))),
            "type",
            Map.of("inet", INET_ADDRESS, "unix", UNIX_ADDRESS));

    static final Struct CHANNEL = Struct.of(
            "MigrationChannel",
            required("channel-type", QmpType.enumeration("MigrationChannelType", "main")),
            required("addr", MIGRATION_ADDRESS));

    /** Ours. */
    static final Enumeration POSTCOPY_POLICY = new Enumeration(
            "x-PostcopyPolicy",
            Arrays.stream(PostcopyPolicy.values()).map(PostcopyPolicy::qmpName).toList());

    static final List<QmpType.Member> PARAMETERS = List.of(
            optional("max-bandwidth", INTEGER),
            optional("downtime-limit", INTEGER),
            optional("avail-switchover-bandwidth", INTEGER),
            optional("xbzrle-cache-size", INTEGER),
            optional("announce-initial", INTEGER),
            optional("announce-max", INTEGER),
            optional("announce-rounds", INTEGER),
            optional("announce-step", INTEGER),
            optional("max-postcopy-bandwidth", INTEGER),
            optional("postcopy-policy", POSTCOPY_POLICY),
            optional("postcopy-budget", INTEGER));

    static final Struct MIGRATION_PARAMETERS = new Struct("MigrationParameters", PARAMETERS);

    static final Struct STATUS_INFO =
            Struct.of("StatusInfo", required("status", RUN_STATE), required("running", BOOLEAN));

    static final Struct RAM_COUNTERS = Struct.of(
            "MigrationRAMStats",
            required("transferred", INTEGER),
            required("remaining", INTEGER),
            required("total", INTEGER),
            required("duplicate", INTEGER),
            required("normal", INTEGER),
            required("normal-bytes", INTEGER),
            required("dirty-pages-rate", INTEGER),
            required("mbps", NUMBER),
            required("dirty-sync-count", INTEGER),
            required("postcopy-requests", INTEGER),
            required("page-size", INTEGER),
            required("multifd-bytes", INTEGER),
            required("pages-per-second", INTEGER),
            required("precopy-bytes", INTEGER),
            required("downtime-bytes", INTEGER),
            required("postcopy-bytes", INTEGER),
            required("dirty-sync-missed-zero-copy", INTEGER));

    static final Struct XBZRLE_COUNTERS = Struct.of(
            "XBZRLECacheStats",
            required("cache-size", INTEGER),
            required("bytes", INTEGER),
            required("pages", INTEGER),
            required("cache-miss", INTEGER),
            required("cache-miss-rate", NUMBER),
            required("encoding-rate", NUMBER),
            required("overflow", INTEGER));

    static final Struct DOWNTIME_SPLIT = Struct.of(
            "x-DowntimeSplit",
            required("stop-micros", INTEGER),
            required("switchover-gate-micros", INTEGER),
            required("last-pass-micros", INTEGER),
            required("device-state-micros", INTEGER),
            required("acknowledge-micros", INTEGER));

    /** Ours: more than QEMU says of postcopy, whose members stand beside it under their own names. */
    static final Struct POSTCOPY_INFO = Struct.of(
            "x-PostcopyInfo",
            required("requests", INTEGER),
            optional("pending-requests", INTEGER),
            optional("urgent-pages", INTEGER),
            optional("near-pages", INTEGER),
            optional("background-pages", INTEGER),
            optional(
                    "faults",
                    Struct.of(
                            "x-FaultLatency",
                            required("count", INTEGER),
                            required("mean-micros", INTEGER),
                            required("p50-micros", INTEGER),
                            required("p99-micros", INTEGER),
                            required("max-micros", INTEGER),
                            required("buckets", new ListOf(INTEGER)))),
            optional("blocktime-millis", INTEGER),
            required(
                    "thread-blocktime",
                    new ListOf(
                            Struct.of("x-ThreadBlocktime", required("thread", INTEGER), required("millis", INTEGER)))),
            required(
                    "recoveries",
                    new ListOf(Struct.of(
                            "x-Recovery",
                            required("cause", STRING),
                            required("detect-micros", INTEGER),
                            optional("reconnect-micros", INTEGER),
                            optional("resync-micros", INTEGER),
                            optional("first-page-micros", INTEGER),
                            required("attempts", INTEGER)))),
            required("recovery-count", INTEGER));

    static final Struct MIGRATION_INFO = Struct.of(
            "MigrationInfo",
            optional("status", MIGRATION_STATUS),
            optional("total-time", INTEGER),
            optional("setup-time", INTEGER),
            optional("downtime", INTEGER),
            optional("expected-downtime", INTEGER),
            optional("x-downtime-split", DOWNTIME_SPLIT),
            optional("ram", RAM_COUNTERS),
            optional("xbzrle-cache", XBZRLE_COUNTERS),
            optional("postcopy-blocktime", INTEGER),
            optional("postcopy-vcpu-blocktime", new ListOf(INTEGER)),
            optional("postcopy-latency", INTEGER),
            optional("postcopy-latency-dist", new ListOf(INTEGER)),
            optional("postcopy", POSTCOPY_INFO),
            optional("error-desc", STRING),
            optional("blocked-reasons", new ListOf(STRING)),
            optional("socket-address", new ListOf(SOCKET_ADDRESS)));

    static final Struct GUEST_SUMMARY = Struct.of(
            "GuestSummary",
            required("name", STRING),
            required("kind", GUEST_KIND),
            required("run-state", RUN_STATE),
            required("ram-bytes", INTEGER),
            optional("uuid", STRING),
            optional("machine-type", STRING),
            optional("pid", INTEGER),
            optional("migration-status", MIGRATION_STATUS));

    static final Struct GUEST_DETAILS = Struct.of(
            "GuestDetails",
            required("name", STRING),
            required("kind", GUEST_KIND),
            required("run-state", RUN_STATE),
            required("ram-bytes", INTEGER),
            optional("uuid", STRING),
            optional("machine-type", STRING),
            optional("pid", INTEGER),
            optional("migration-status", MIGRATION_STATUS),
            required(
                    "blocks",
                    new ListOf(Struct.of(
                            "GuestBlock",
                            required("name", STRING),
                            required("length-bytes", INTEGER),
                            required("page-size-bytes", INTEGER)))),
            required(
                    "devices",
                    new ListOf(Struct.of(
                            "GuestDevice",
                            required("name", STRING),
                            required("instance-id", INTEGER),
                            required("version", INTEGER),
                            optional("length-bytes", INTEGER)))),
            optional("check", ANY));

    static final Struct QEMU_GUEST = Struct.of(
            "GuestDefinition",
            required("name", STRING),
            required("kind", GUEST_KIND),
            required("uuid", STRING),
            required("qmp", STRING),
            required("reachable", BOOLEAN),
            // QEMU's, which has more of them than we.
            optional("run-state", STRING),
            optional("machine-type", STRING),
            optional("ram-bytes", INTEGER));

    static final Struct GUEST_DEFINITIONS = Struct.of(
            "GuestDefinitions",
            required("guests", new ListOf(QEMU_GUEST)),
            required(
                    "problems",
                    new ListOf(
                            Struct.of("GuestDefinitionProblem", required("file", STRING), required("text", STRING)))));

    static final Struct GUEST_CHECK = Struct.of(
            "GuestCheck",
            required("guest", QEMU_GUEST),
            required(
                    "problems",
                    new ListOf(Struct.of(
                            "GuestCheckProblem",
                            required("code", STRING),
                            required("severity", QmpType.enumeration("GuestCheckSeverity", "error", "warning")),
                            required("text", STRING)))));

    static final Struct DAEMON_STATUS = Struct.of(
            "DaemonStatus",
            required("version", STRING),
            required("pid", INTEGER),
            required("uptime-seconds", INTEGER),
            required("guests", INTEGER),
            required("host-features", ANY));

    static final Struct VERSION = Struct.of(
            "VersionInfo",
            required(
                    "qemu",
                    Struct.of(
                            "VersionTriple",
                            required("major", INTEGER),
                            required("minor", INTEGER),
                            required("micro", INTEGER))),
            required("package", STRING));

    static final Struct COMMAND_NAME = Struct.of("CommandInfo", required("name", STRING));

    /** Events and their data. On the daemon's socket each has also {@code guest}. */
    static final List<Struct> EVENTS = List.of(
            Struct.of("MIGRATION", required("status", MIGRATION_STATUS)),
            Struct.of("MIGRATION_PASS", required("pass", INTEGER)),
            Struct.of("STOP"),
            Struct.of("RESUME"));

    /** Events of moves of QEMU guests; on the daemon's socket only. */
    static final List<Struct> MOVE_EVENTS = List.of(
            Struct.of("MOVE_PHASE", required("phase", STRING), required("role", STRING)),
            Struct.of("MOVE_DECISION", required("reason", STRING)),
            Struct.of(
                    "MOVE_RESCUE",
                    required("kind", STRING),
                    required("state", STRING),
                    required("done-pages", INTEGER),
                    required("total-pages", INTEGER)),
            Struct.of("MOVE_ENDED", required("outcome", STRING), required("message", STRING)),
            Struct.of("MOVE_GIVEN_UP", required("reason", STRING)));

    private Types() {}

    private static Enumeration capabilities(String schemaName, boolean onlySupported) {
        return new Enumeration(
                schemaName,
                Arrays.stream(Capability.values())
                        .filter(capability -> capability.supported() || !onlySupported)
                        .map(Capability::qmpName)
                        .toList());
    }
}
