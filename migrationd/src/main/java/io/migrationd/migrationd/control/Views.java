package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.control.GuestOperations.GuestView;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationInfo.DowntimeSplit;
import io.migrationd.migrationd.session.MigrationInfo.RamCounters;
import io.migrationd.migrationd.session.MigrationInfo.XbzrleCounters;
import io.migrationd.migrationd.session.MigrationParameters;
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
            json.set("ram", ram(info.ram()));
        }
        if (info.xbzrle() != null) {
            json.set("xbzrle-cache", xbzrle(info.xbzrle()));
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
                .put("announce-step", parameters.announceStepMillis());
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

    private static ObjectNode ram(RamCounters ram) {
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
                .put("postcopy-requests", ram.postcopyRequests())
                .put("page-size", ram.pageSize())
                .put("multifd-bytes", 0)
                .put("pages-per-second", ram.pagesPerSecond())
                .put("precopy-bytes", ram.precopyBytes())
                .put("downtime-bytes", ram.downtimeBytes())
                .put("postcopy-bytes", 0)
                .put("dirty-sync-missed-zero-copy", 0);
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
}
