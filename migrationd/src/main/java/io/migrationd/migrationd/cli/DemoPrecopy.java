package io.migrationd.migrationd.cli;

import io.migrationd.migrationd.qmp.QmpException;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** A running guest moves from one daemon to another while it writes to its memory. */
final class DemoPrecopy {
    private DemoPrecopy() {}

    static DemoResult run(DemoStage stage, String listenUri, long downtimeLimitMillis)
            throws DemoException, QmpException, DaemonUnreachableException {
        stage.start();
        String uri = stage.listen(listenUri);
        CapabilityChange.apply(stage.leaving(), List.of(new CapabilityChange("return-path", true)));
        Map<String, Object> limits = new LinkedHashMap<>();
        limits.put("max-bandwidth", 0L);
        limits.put("downtime-limit", downtimeLimitMillis);
        stage.migrate(uri, limits);
        return stage.verify(DemoScenario.PRECOPY, uri, stage.await(MigrationView::ended));
    }
}
