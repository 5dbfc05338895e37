package io.migrationd.migrationd.outgoing;

import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * When the preempt channel is opened and how it ends: a rule by machine type, the same at both ends. Wire source: QEMU
 * 8.0 migration/migration.c, preempt_pre_7_2 (set by machine types up to 7.2).
 */
enum PreemptStyle {
    /** Right behind the main connection, without which QEMU 7.2 does not begin to load; ends with an end mark. */
    FROM_THE_START,
    /** When postcopy begins; just ends. */
    AT_THE_SWITCH;

    private static final Pattern VERSION =
            Pattern.compile("^(?:pc-|virt-|pseries-|s390-ccw-virtio-).*?(\\d{1,4})\\.(\\d{1,4})$");
    private static final int LAST_OLD_MAJOR = 7;
    private static final int LAST_OLD_MINOR = 2;

    static PreemptStyle of(String machineType) {
        Matcher version = VERSION.matcher(machineType);
        if (!version.find()) {
            return AT_THE_SWITCH;
        }
        int major = Integer.parseInt(version.group(1));
        int minor = Integer.parseInt(version.group(2));
        boolean old = major < LAST_OLD_MAJOR || (major == LAST_OLD_MAJOR && minor <= LAST_OLD_MINOR);
        return old ? FROM_THE_START : AT_THE_SWITCH;
    }
}
