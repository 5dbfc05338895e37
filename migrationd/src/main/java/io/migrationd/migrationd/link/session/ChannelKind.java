package io.migrationd.migrationd.link.session;

import java.util.Optional;

/** What a channel carries. */
public enum ChannelKind {
    /** A QEMU's main connection, with the return path as its other direction. */
    MAIN(1),
    /** One of several connections for pages. */
    MULTIFD(2),
    /** Requested pages. */
    PREEMPT(3);

    private final int code;

    ChannelKind(int code) {
        this.code = code;
    }

    /** The number on the wire. */
    int code() {
        return code;
    }

    static Optional<ChannelKind> ofCode(int code) {
        for (ChannelKind kind : values()) {
            if (kind.code == code) {
                return Optional.of(kind);
            }
        }
        return Optional.empty();
    }
}
