package io.migrationd.migrationd.config;

import java.util.Set;

/** Users and groups by number. */
public record Accounts(Set<Integer> uids, Set<Integer> gids) {
    /** Nobody. */
    public static final Accounts NONE = new Accounts(Set.of(), Set.of());

    /** Whether the user, or one of the groups, is listed. */
    public boolean include(int uid, Set<Integer> memberOf) {
        return uids.contains(uid) || memberOf.stream().anyMatch(gids::contains);
    }
}
