package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A guest that writes faster than precopy may send moves all the same, in a time that can be told beforehand. */
final class DemoPostcopy {
    /** Less than the usual rate of writes makes dirty. */
    private static final long PRECOPY_BYTES_PER_SECOND = 64 << 20;

    private DemoPostcopy() {}

    static DemoResult run(DemoStage stage, String listenUri, long downtimeLimitMillis)
            throws DemoException, QmpException, DaemonUnreachableException {
        stage.start();
        switchOn(stage);
        String uri = stage.listen(listenUri);
        stage.migrate(uri, limits(PRECOPY_BYTES_PER_SECOND, downtimeLimitMillis));
        return stage.verify(DemoScenario.POSTCOPY, uri, stage.await(MigrationView::ended));
    }

    /** At both sides, with a connection of their own for the pages that the guest waits for. */
    static void switchOn(DemoStage stage) throws QmpException, DaemonUnreachableException {
        for (GuestClient guest : List.of(stage.leaving(), stage.arriving())) {
            CapabilityChange.apply(
                    guest,
                    List.of(
                            new CapabilityChange("return-path", true),
                            new CapabilityChange("postcopy-ram", true),
                            new CapabilityChange("postcopy-preempt", true)));
        }
    }

    static Map<String, Object> limits(long precopyBytesPerSecond, long downtimeLimitMillis) {
        Map<String, Object> limits = new LinkedHashMap<>();
        limits.put("max-bandwidth", precopyBytesPerSecond);
        limits.put("max-postcopy-bandwidth", 0L);
        limits.put("postcopy-policy", PostcopyStart.AFTER_FIRST_PASS.toString());
        limits.put("downtime-limit", downtimeLimitMillis);
        return limits;
    }
}
