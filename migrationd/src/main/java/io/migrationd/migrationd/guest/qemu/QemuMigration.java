package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.qmp.JsonObject;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;

/**
 * What {@code query-migrate} said. All of it is optional: versions differ, and most of it is there only while a
 * migration runs or after it. Wire source: QEMU 10.0 qapi/migration.json, MigrationInfo.
 *
 * @param status {@code none} if nothing ever happened
 * @param statusText as QEMU said it, for a status that this version does not know
 * @param error why it failed, or what broke while it is still said to be active
 * @param remainingBytes RAM and devices: 11.x
 * @param blockedReasons why no migration can begin
 * @param listening where an incoming migration is awaited, as URIs
 */
public record QemuMigration(
        QemuStatus status,
        String statusText,
        Optional<String> error,
        Optional<Ram> ram,
        Optional<Postcopy> postcopy,
        OptionalLong totalMillis,
        OptionalLong setupMillis,
        OptionalLong downtimeMillis,
        OptionalLong expectedDowntimeMillis,
        OptionalLong cpuThrottlePercent,
        OptionalLong remainingBytes,
        List<String> blockedReasons,
        List<String> listening) {

    /**
     * Counters of RAM; those that a version does not have are 0. They stand still while the source is blocked in a
     * write.
     *
     * @param duplicate zero pages
     * @param normal pages sent whole
     * @param mbps keeps its last value while nothing moves
     */
    public record Ram(
            long transferredBytes,
            long remainingBytes,
            long totalBytes,
            long duplicate,
            long normal,
            long normalBytes,
            long dirtyPagesRate,
            double mbps,
            long dirtySyncCount,
            long postcopyRequests,
            long pageSizeBytes,
            long multifdBytes,
            long pagesPerSecond,
            long precopyBytes,
            long downtimeBytes,
            long postcopyBytes) {
        private static Ram of(JsonObject ram) {
            return new Ram(
                    ram.number("transferred").orElse(0),
                    ram.number("remaining").orElse(0),
                    ram.number("total").orElse(0),
                    ram.number("duplicate").orElse(0),
                    ram.number("normal").orElse(0),
                    ram.number("normal-bytes").orElse(0),
                    ram.number("dirty-pages-rate").orElse(0),
                    ram.decimal("mbps").orElse(0),
                    ram.number("dirty-sync-count").orElse(0),
                    ram.number("postcopy-requests").orElse(0),
                    ram.number("page-size").orElse(0),
                    ram.number("multifd-bytes").orElse(0),
                    ram.number("pages-per-second").orElse(0),
                    ram.number("precopy-bytes").orElse(0),
                    ram.number("downtime-bytes").orElse(0),
                    ram.number("postcopy-bytes").orElse(0));
        }
    }

    /**
     * What a destination with capability postcopy-blocktime measured.
     *
     * @param blocktimeMillis time in which all vCPUs waited
     * @param vcpuBlocktimeMillis by vCPU
     * @param latencyNanos mean of a fault: 10.1 and later
     * @param latencyDistribution faults by power of two of microseconds: 10.1 and later
     */
    public record Postcopy(
            OptionalLong blocktimeMillis,
            List<Long> vcpuBlocktimeMillis,
            OptionalLong latencyNanos,
            List<Long> latencyDistribution) {}

    /** Reads the answer. */
    static QemuMigration of(JsonObject info) {
        String status = info.text("status").orElse(QemuStatus.NONE.qmpName());
        return new QemuMigration(
                QemuStatus.named(status),
                status,
                info.text("error-desc"),
                info.object("ram").map(Ram::of),
                postcopy(info),
                info.number("total-time"),
                info.number("setup-time"),
                info.number("downtime"),
                info.number("expected-downtime"),
                info.number("cpu-throttle-percentage"),
                info.number("remaining"),
                texts(info.list("blocked-reasons")),
                info.objects("socket-address").stream()
                        .map(QemuMigration::uri)
                        .flatMap(Optional::stream)
                        .toList());
    }

    private static Optional<Postcopy> postcopy(JsonObject info) {
        OptionalLong blocktime = info.number("postcopy-blocktime");
        OptionalLong latency = info.number("postcopy-latency");
        return blocktime.isEmpty() && latency.isEmpty()
                ? Optional.empty()
                : Optional.of(new Postcopy(
                        blocktime,
                        numbers(info.list("postcopy-vcpu-blocktime")),
                        latency,
                        numbers(info.list("postcopy-latency-dist"))));
    }

    private static Optional<String> uri(JsonObject address) {
        String type = address.text("type").orElse("");
        return switch (type) {
            case "unix" -> address.text("path").map("unix:"::concat);
            case "inet" ->
                address.text("host")
                        .flatMap(host -> address.text("port")
                                .map(port -> (host.contains(":") ? "tcp:[%s]:%s" : "tcp:%s:%s").formatted(host, port)));
            default -> Optional.empty();
        };
    }

    static List<String> texts(List<?> elements) {
        return elements.stream()
                .filter(String.class::isInstance)
                .map(String.class::cast)
                .toList();
    }

    private static List<Long> numbers(List<?> elements) {
        return elements.stream()
                .filter(Long.class::isInstance)
                .map(Long.class::cast)
                .toList();
    }
}
