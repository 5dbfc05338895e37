package io.migrationd.it.fault;

/**
 * A place in the bytes of a postcopy migration where a {@link PostcopyLink} can break it: right behind what it is named
 * after, unless it says otherwise. Each that may come more than once is counted from 1.
 */
public enum Place {
    /** Magic and version of the main connection. */
    HEADER,
    /** The configuration section. */
    CONFIGURATION,
    OPEN_RETURN_PATH,
    /** PING 1. */
    PING_START,
    ADVISE,
    /** The block list of {@code ram} and its footer. */
    RAM_START,
    /** A PART of {@code ram} before the switch, with its footer. */
    PRECOPY_PART,
    /** The second connection of a migration was accepted; nothing of it has passed. */
    PREEMPT_CONNECTED,
    /** A POSTCOPY_RAM_DISCARD command. */
    DISCARD,
    /** PING 2. */
    PING_DISCARDED,
    /** The command PACKAGED, before the first byte of the package. */
    PACKAGED,
    /** Half of the package. */
    PACKAGE_MIDDLE,
    /** All of the package but its last byte. */
    PACKAGE_BUT_LAST,
    /** The whole package. */
    PACKAGE,
    /** PING 4. */
    PING_LISTENING,
    /** The first page of postcopy on the main connection. */
    FIRST_PAGE,
    /** Four bytes of the header of the second page of postcopy on the main connection. */
    IN_PAGE_HEADER,
    /** 1000 bytes of the first full page of postcopy behind the second on the main connection. */
    IN_PAGE,
    /** Half of the pages that were dirty at the switch, of both connections together. */
    MIDDLE_PAGE,
    /** All pages that were dirty at the switch but the last one. */
    LAST_BUT_ONE_PAGE,
    /** All pages that were dirty at the switch. */
    LAST_PAGE,
    /** The END of {@code ram} in postcopy, with its footer. */
    RAM_END,
    /** The last byte of a stream that ends in postcopy. */
    EOF,

    /** The first page on the preempt connection. */
    PREEMPT_FIRST_PAGE,
    /** Four bytes of the second page header on the preempt connection. */
    PREEMPT_IN_PAGE_HEADER,
    /** 1000 bytes of the first full page behind the second on the preempt connection. */
    PREEMPT_IN_PAGE,

    /** A RECV_BITMAP command of a recovery connection. */
    RECV_BITMAP,
    /** POSTCOPY_RESUME. */
    RESUME,
    /** The first page of a recovery connection. */
    RESUMED_PAGE,

    /** PONG 1. */
    PONG_START,
    /** PONG 2. */
    PONG_DISCARDED,
    /** PONG 0x42. */
    PONG_LOADED,
    /** A request for pages. */
    REQUEST,
    /** Half of the bits of a received bitmap. */
    IN_BITMAP,
    /** A received bitmap with its end mark. */
    BITMAP,
    RESUME_ACK,
    /** Before a SHUT. */
    BEFORE_SHUT,
    /** A SHUT. */
    SHUT
}
