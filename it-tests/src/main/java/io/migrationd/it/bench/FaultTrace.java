package io.migrationd.it.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
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

    /** Process and seconds in front up to QEMU 10.0, the date since 11.1. */
    private static final Pattern LINE = Pattern.compile("(?:\\d+@(?<seconds>\\d+)\\.(?<micros>\\d{6}):|(?<date>\\S+Z) )"
            + "postcopy_(?<what>ram_fault_thread_request|place_page(?:_zero)?) .*?0x(?<address>[0-9a-f]+).*");

    private static final long MILLION = 1_000_000;

    private FaultTrace() {}

    /** Of a trace that was written with {@code -msg timestamp=on}. */
    static FaultTimes read(Path trace) throws IOException {
        try (var lines = Files.lines(trace, StandardCharsets.ISO_8859_1)) {
            FaultTimes times = timesOf(lines.toList());
            if (times.waits() == 0) {
                throw new IOException("no fault in the trace " + trace);
            }
            return times;
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
            long now = micros(matcher);
            String address = matcher.group("address");
            if (matcher.group("what").startsWith("ram")) {
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

    private static long micros(Matcher line) {
        String date = line.group("date");
        return date == null
                ? Long.parseLong(line.group("seconds")) * MILLION + Long.parseLong(line.group("micros"))
                : ChronoUnit.MICROS.between(Instant.EPOCH, Instant.parse(date));
    }

    private static double percentile(List<Long> sorted, double part) {
        return sorted.isEmpty() ? 0 : sorted.get((int) Math.min(sorted.size() - 1, sorted.size() * part));
    }
}
