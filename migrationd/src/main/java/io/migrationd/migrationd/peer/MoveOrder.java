package io.migrationd.migrationd.peer;

import java.util.Map;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.UUID;

/**
 * What the target has to know of a move besides the machine's plan: goes with PREPARE and CHECK. Nothing in it says how
 * the target's QEMU is started: that is the target's own configuration.
 *
 * @param guest the name at the source; the target looks its own definition up by uuid
 * @param uuid the guest
 * @param sourceHost for messages and the report
 * @param postcopy whether it may be used
 * @param preempt whether requested pages have a channel of their own
 * @param multifdChannels 0 is off
 * @param capabilities QEMU's names, the same at both ends
 * @param parameters QEMU's names; only numbers
 */
public record MoveOrder(
        String guest,
        UUID uuid,
        String sourceHost,
        boolean postcopy,
        boolean preempt,
        int multifdChannels,
        SortedMap<String, Boolean> capabilities,
        SortedMap<String, Long> parameters) {
    /** As many as any QEMU knows, and some. */
    public static final int MOST_SETTINGS = 128;

    /** QEMU's own limit is 255. */
    public static final int MOST_CHANNELS = 64;

    /** Checks bounds and copies. */
    public MoveOrder {
        if (multifdChannels < 0 || multifdChannels > MOST_CHANNELS) {
            throw new IllegalArgumentException(
                    "multifd-channels: 0 to %d, not %d".formatted(MOST_CHANNELS, multifdChannels));
        }
        if (capabilities.size() > MOST_SETTINGS || parameters.size() > MOST_SETTINGS) {
            throw new IllegalArgumentException("more than %d settings".formatted(MOST_SETTINGS));
        }
        capabilities = new TreeMap<>(capabilities);
        parameters = new TreeMap<>(parameters);
    }

    /** For QMP. */
    public Map<String, Object> parametersForQemu() {
        return new TreeMap<>(parameters);
    }
}
