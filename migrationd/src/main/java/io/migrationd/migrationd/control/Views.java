package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.control.GuestOperations.GuestView;
import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationInfo.DowntimeSplit;
import io.migrationd.migrationd.session.MigrationInfo.RamCounters;
import io.migrationd.migrationd.session.MigrationInfo.XbzrleCounters;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyInfo;
import io.migrationd.migrationd.session.PostcopyInfo.Latency;
import io.migrationd.migrationd.session.PostcopyInfo.Recovery;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;

/** Typed results as JSON. Shapes: {@link Types}. */
final class Views {
    private Views() {}

    static ObjectNode migration(MigrationInfo info) {
        ObjectNode json = Json.object();
        put(json, "status", info.status());
        put(json, "total-time", info.totalTimeMillis());
        put(json, "setup-time", info.setupTimeMillis());
        put(json, "downtime", info.downtimeMillis());
        put(json, "expected-downtime", info.expectedDowntimeMillis());
        if (info.downtime() != null) {
            json.set("x-downtime-split", downtime(info.downtime()));
        }
        if (info.ram() != null) {
            json.set("ram", ram(info.ram(), info.postcopy()));
        }
        if (info.xbzrle() != null) {
            json.set("xbzrle-cache", xbzrle(info.xbzrle()));
        }
        if (info.postcopy() != null) {
            putPostcopy(json, info.postcopy());
        }
        put(json, "error-desc", info.errorDesc());
        if (!info.blockedReasons().isEmpty()) {
            ArrayNode reasons = json.putArray("blocked-reasons");
            info.blockedReasons().forEach(reasons::add);
        }
        if (!info.socketAddresses().isEmpty()) {
            ArrayNode addresses = json.putArray("socket-address");
            info.socketAddresses().forEach(uri -> addresses.add(MigrationAddress.toSocketAddress(uri)));
        }
        return json;
    }

    static ObjectNode parameters(MigrationParameters parameters) {
        return Json.object()
                .put("max-bandwidth", parameters.maxBandwidth())
                .put("downtime-limit", parameters.downtimeLimitMillis())
                .put("avail-switchover-bandwidth", parameters.availSwitchoverBandwidth())
                .put("xbzrle-cache-size", parameters.xbzrleCacheSize())
                .put("announce-initial", parameters.announceInitialMillis())
                .put("announce-max", parameters.announceMaxMillis())
                .put("announce-rounds", parameters.announceRounds())
                .put("announce-step", parameters.announceStepMillis())
                .put("max-postcopy-bandwidth", parameters.maxPostcopyBandwidth())
                .put("postcopy-policy", parameters.postcopyPolicy().qmpName())
                .put("postcopy-budget", parameters.postcopyBudgetMillis());
    }

    static ObjectNode guestSummary(GuestView guest) {
        ObjectNode json = Json.object()
                .put("name", guest.name())
                .put("kind", guest.kind().jsonName())
                .put("run-state", guest.runState().qmpName())
                .put("ram-bytes", guest.ramBytes());
        put(json, "uuid", guest.uuid());
        put(json, "machine-type", guest.machineType());
        put(json, "pid", guest.pid());
        put(json, "migration-status", guest.migrationStatus());
        return json;
    }

    static ObjectNode guestDetails(GuestView guest) {
        ObjectNode json = guestSummary(guest);
        ArrayNode blocks = json.putArray("blocks");
        for (var block : guest.blocks()) {
            blocks.addObject()
                    .put("name", block.name())
                    .put("length-bytes", block.lengthBytes())
                    .put("page-size-bytes", block.pageSizeBytes());
        }
        ArrayNode devices = json.putArray("devices");
        for (var device : guest.devices()) {
            ObjectNode entry = devices.addObject()
                    .put("name", device.name())
                    .put("instance-id", device.instanceId())
                    .put("version", device.version());
            if (device.lengthBytes() >= 0) {
                entry.put("length-bytes", device.lengthBytes());
            }
        }
        if (guest.check() != null) {
            json.set("check", Json.ofMap(guest.check()));
        }
        return json;
    }

    private static ObjectNode downtime(DowntimeSplit split) {
        return Json.object()
                .put("stop-micros", split.stopMicros())
                .put("switchover-gate-micros", split.switchoverGateMicros())
                .put("last-pass-micros", split.lastPassMicros())
                .put("device-state-micros", split.deviceStateMicros())
                .put("acknowledge-micros", split.acknowledgeMicros());
    }

    private static ObjectNode ram(RamCounters ram, @Nullable PostcopyInfo postcopy) {
        long postcopyBytes = ram.transferred() - ram.precopyBytes() - ram.downtimeBytes();
        return Json.object()
                .put("transferred", ram.transferred())
                .put("remaining", ram.remaining())
                .put("total", ram.total())
                .put("duplicate", ram.duplicatePages())
                .put("normal", ram.normalPages())
                .put("normal-bytes", ram.normalBytes())
                .put("dirty-pages-rate", ram.dirtyPagesRate())
                .put("mbps", finite(ram.mbps()))
                .put("dirty-sync-count", ram.dirtySyncCount())
                .put("postcopy-requests", postcopy == null ? ram.postcopyRequests() : postcopy.requests())
                .put("page-size", ram.pageSize())
                .put("multifd-bytes", 0)
                .put("pages-per-second", ram.pagesPerSecond())
                .put("precopy-bytes", ram.precopyBytes())
                .put("downtime-bytes", ram.downtimeBytes())
                .put("postcopy-bytes", postcopy == null ? 0 : Math.max(0, postcopyBytes))
                .put("dirty-sync-missed-zero-copy", 0);
    }

    /** QEMU's members, of which the latency is in nanoseconds and the blocktime in milliseconds, and our object. */
    private static void putPostcopy(ObjectNode json, PostcopyInfo postcopy) {
        put(json, "postcopy-blocktime", postcopy.blocktimeMillis());
        if (!postcopy.threadBlocktimeMillis().isEmpty()) {
            ArrayNode threads = json.putArray("postcopy-vcpu-blocktime");
            byThread(postcopy).values().forEach(threads::add);
        }
        Latency faults = postcopy.faults();
        if (faults != null) {
            json.put("postcopy-latency", TimeUnit.MICROSECONDS.toNanos(faults.meanMicros()));
            ArrayNode buckets = json.putArray("postcopy-latency-dist");
            faults.buckets().forEach(buckets::add);
        }
        json.set("postcopy", postcopy(postcopy));
    }

    private static ObjectNode postcopy(PostcopyInfo postcopy) {
        ObjectNode json = Json.object().put("requests", postcopy.requests());
        put(json, "pending-requests", postcopy.pendingRequests());
        put(json, "urgent-pages", postcopy.urgentPages());
        put(json, "near-pages", postcopy.nearPages());
        put(json, "background-pages", postcopy.backgroundPages());
        if (postcopy.faults() != null) {
            json.set("faults", latency(postcopy.faults()));
        }
        put(json, "blocktime-millis", postcopy.blocktimeMillis());
        ArrayNode threads = json.putArray("thread-blocktime");
        byThread(postcopy)
                .forEach((thread, millis) ->
                        threads.addObject().put("thread", thread).put("millis", millis));
        ArrayNode recoveries = json.putArray("recoveries");
        postcopy.recoveries().forEach(recovery -> recoveries.add(recovery(recovery)));
        return json.put("recovery-count", postcopy.recoveryCount());
    }

    private static Map<Integer, Long> byThread(PostcopyInfo postcopy) {
        return new TreeMap<>(postcopy.threadBlocktimeMillis());
    }

    private static ObjectNode latency(Latency faults) {
        ObjectNode json = Json.object()
                .put("count", faults.count())
                .put("mean-micros", faults.meanMicros())
                .put("p50-micros", faults.p50Micros())
                .put("p99-micros", faults.p99Micros())
                .put("max-micros", faults.maxMicros());
        ArrayNode buckets = json.putArray("buckets");
        faults.buckets().forEach(buckets::add);
        return json;
    }

    private static ObjectNode recovery(Recovery recovery) {
        ObjectNode json = Json.object().put("cause", recovery.cause()).put("detect-micros", recovery.detectMicros());
        put(json, "reconnect-micros", recovery.reconnectMicros());
        put(json, "resync-micros", recovery.resyncMicros());
        put(json, "first-page-micros", recovery.firstPageMicros());
        return json.put("attempts", recovery.attempts());
    }

    private static ObjectNode xbzrle(XbzrleCounters xbzrle) {
        return Json.object()
                .put("cache-size", xbzrle.cacheSize())
                .put("bytes", xbzrle.bytes())
                .put("pages", xbzrle.pages())
                .put("cache-miss", xbzrle.cacheMiss())
                .put("cache-miss-rate", finite(xbzrle.cacheMissRate()))
                .put("encoding-rate", finite(xbzrle.encodingRate()))
                .put("overflow", xbzrle.overflow());
    }

    /** JSON has no infinity and no NaN: a rate over no time is 0. */
    private static double finite(double rate) {
        return Double.isFinite(rate) ? rate : 0;
    }

    private static void put(ObjectNode json, String name, @Nullable String value) {
        if (value != null) {
            json.put(name, value);
        }
    }

    private static void put(ObjectNode json, String name, @Nullable Long value) {
        if (value != null) {
            json.put(name, value);
        }
    }

    static JsonNode definitions(QemuGuestViews.Listing listing) {
        ObjectNode json = Json.object();
        ArrayNode guests = json.putArray("guests");
        listing.guests().forEach(guest -> guests.add(qemuGuest(guest)));
        ArrayNode problems = json.putArray("problems");
        listing.problems()
                .forEach(problem ->
                        problems.addObject().put("file", problem.file()).put("text", problem.text()));
        return json;
    }

    static JsonNode check(QemuGuestViews.Check check) {
        ObjectNode json = Json.object();
        json.set("guest", qemuGuest(check.guest()));
        ArrayNode problems = json.putArray("problems");
        check.problems()
                .forEach(problem -> problems.addObject()
                        .put("code", problem.code())
                        .put("severity", problem.severity().jsonName())
                        .put("text", problem.text()));
        return json;
    }

    private static ObjectNode qemuGuest(QemuGuestViews.View guest) {
        ObjectNode json = Json.object();
        json.put("name", guest.name());
        json.put("kind", GuestKind.QEMU.jsonName());
        json.put("uuid", guest.uuid());
        json.put("qmp", guest.qmp());
        json.put("reachable", guest.reachable());
        guest.runState().ifPresent(state -> json.put("run-state", state));
        guest.machineType().ifPresent(type -> json.put("machine-type", type));
        guest.ramBytes().ifPresent(bytes -> json.put("ram-bytes", bytes));
        return json;
    }
}
