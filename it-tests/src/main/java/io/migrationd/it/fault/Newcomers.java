package io.migrationd.it.fault;

/** What becomes of connections that are made while a link is broken. */
public enum Newcomers {
    /** They are reset. */
    REFUSED,
    /** They are accepted and hear nothing until the link is healed; then they go through. */
    SILENT
}
