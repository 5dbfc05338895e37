package io.migrationd.it.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * How long faults took by the trace of a destination's QEMU, of any version: from the fault thread's having seen the
 * fault to its page being put in place (QEMU 10.0 migration/trace-events). To wake the fault thread and the vCPU comes
 * on top, and costs the same whatever lies between the QEMUs.
 */
final class FaultTrace {
    static final String REQUEST = "postcopy_ram_fault_thread_request";
    static final String PLACE = "postcopy_place_page*";

    private static final Pattern LINE = Pattern.compile(
            "\\d+@(\\d+)\\.(\\d{6}):postcopy_(ram_fault_thread_request|place_page(?:_zero)?) .*?0x([0-9a-f]+).*");
    private static final long MILLION = 1_000_000;

    private FaultTrace() {}

    /** Of a trace that was written with {@code -msg timestamp=on}. */
    static FaultTimes read(Path trace) throws IOException {
        try (var lines = Files.lines(trace, StandardCharsets.ISO_8859_1)) {
            return timesOf(lines.toList());
        }
    }

    static FaultTimes timesOf(List<String> lines) {
        Map<String, Long> asked = new HashMap<>();
        List<Long> micros = new ArrayList<>();
        for (String line : lines) {
            Matcher matcher = LINE.matcher(line);
            if (!matcher.matches()) {
                continue;
            }
            long now = Long.parseLong(matcher.group(1)) * MILLION + Long.parseLong(matcher.group(2));
            String address = matcher.group(4);
            if (matcher.group(3).startsWith("ram")) {
                // The first request counts: a second one for the same page is another thread's.
                asked.putIfAbsent(address, now);
            } else {
                Long since = asked.remove(address);
                if (since != null) {
                    micros.add(now - since);
                }
            }
        }
        Collections.sort(micros);
        return new FaultTimes(micros.size(), percentile(micros, 0.5), percentile(micros, 0.99), percentile(micros, 1));
    }

    private static double percentile(List<Long> sorted, double part) {
        return sorted.isEmpty() ? 0 : sorted.get((int) Math.min(sorted.size() - 1, sorted.size() * part));
    }
}
