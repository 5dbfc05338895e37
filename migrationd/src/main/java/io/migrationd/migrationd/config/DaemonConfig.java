package io.migrationd.migrationd.config;

import io.migrationd.migrationd.session.RecoverySettings;

/** All that can be configured. Built by {@link ConfigLoader}, never changed. */
public record DaemonConfig(
        PathsConfig paths,
        ControlConfig control,
        StreamConfig stream,
        LimitsConfig limits,
        RecoverySettings recovery,
        PeerConfig peer,
        MetricsConfig metrics,
        LogLevel logLevel) {}
