package io.migrationd.postcopy.os;

/** How the kernel answered a request to place a page. */
public enum Placement {
    /** The page is there, and who waited for it was woken unless the mode said not to. */
    PLACED,
    /** EEXIST: the page was there before, nothing changed and nobody was woken. */
    ALREADY_THERE,
    /** EAGAIN: the mapping is changing. Read pending events, then ask again. */
    RETRY
}
