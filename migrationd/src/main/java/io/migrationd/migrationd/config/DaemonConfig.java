package io.migrationd.migrationd.config;

/** All that can be configured. Built by {@link ConfigLoader}, never changed. */
public record DaemonConfig(
        PathsConfig paths,
        ControlConfig control,
        StreamConfig stream,
        LimitsConfig limits,
        MetricsConfig metrics,
        LogLevel logLevel) {}
