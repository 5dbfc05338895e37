package io.migrationd.migrationd.session;

import java.util.Arrays;
import java.util.Optional;

/** When an outgoing migration with capability postcopy-ram goes over to postcopy by itself. */
public enum PostcopyPolicy {
    /** Never, not even when asked to. */
    NEVER("never"),
    /** When an operator asks for it: migrate-start-postcopy. QEMU's behaviour. */
    MANUAL("manual"),
    /** When every page was sent once. */
    AFTER_FIRST_PASS("after-first-pass"),
    /** When the guest writes faster than the link carries, or the time budget is over. */
    AUTO("auto");

    private final String qmpName;

    PostcopyPolicy(String qmpName) {
        this.qmpName = qmpName;
    }

    /** The name in parameters and on the command line. */
    public String qmpName() {
        return qmpName;
    }

    /** The policy of that name, if there is one. */
    public static Optional<PostcopyPolicy> named(String qmpName) {
        return Arrays.stream(values()).filter(p -> p.qmpName.equals(qmpName)).findFirst();
    }
}
