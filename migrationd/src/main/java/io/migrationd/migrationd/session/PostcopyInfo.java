package io.migrationd.migrationd.session;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What postcopy did, at either end; {@code null} and empty where the other end knows it.
 *
 * @param requests page requests, sent by the destination or taken by the source
 * @param pendingRequests pages that the guest waits for now, destination only
 * @param urgentPages guest pages sent because somebody waited for them, source only
 * @param nearPages guest pages sent early because they lie behind an urgent one, source only
 * @param backgroundPages all other guest pages of postcopy, source only
 * @param faults how long the guest's threads waited for pages, destination only
 * @param blocktimeMillis time during which every thread that ever waited waited, destination only
 * @param threadBlocktimeMillis time each thread waited, by thread id; destination only
 * @param recoveries the last episodes, oldest first
 * @param recoveryCount all episodes
 */
public record PostcopyInfo(
        long requests,
        @Nullable Long pendingRequests,
        @Nullable Long urgentPages,
        @Nullable Long nearPages,
        @Nullable Long backgroundPages,
        @Nullable Latency faults,
        @Nullable Long blocktimeMillis,
        Map<Integer, Long> threadBlocktimeMillis,
        List<Recovery> recoveries,
        long recoveryCount) {
    /**
     * Microseconds from fault to placement.
     *
     * @param buckets of QEMU 10.1: bucket n counts latencies of 2^n to 2^(n+1) microseconds
     */
    public record Latency(
            long count, long meanMicros, long p50Micros, long p99Micros, long maxMicros, List<Long> buckets) {}

    /**
     * One pause and how it ended. Microseconds; {@code null} while that has not happened.
     *
     * @param cause what broke
     * @param detectMicros from the last byte of the peer to the pause
     * @param reconnectMicros from the pause to the new connection
     * @param resyncMicros from the new connection to the end of the handshake
     * @param firstPageMicros from there to the first page
     * @param attempts connections that were tried
     */
    public record Recovery(
            String cause,
            long detectMicros,
            @Nullable Long reconnectMicros,
            @Nullable Long resyncMicros,
            @Nullable Long firstPageMicros,
            long attempts) {}
}
