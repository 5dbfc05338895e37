package io.migrationd.it.bench;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;

/** What {@code /proc} says of a process; {@code pid} may be {@code self}. */
final class ProcFiles {
    /** proc(5): utime is field 14 of stat, stime the next; the fields after the name start with number 3. */
    private static final int USER_TIME = 14 - 3;

    /** USER_HZ, the same on every Linux that runs Java. */
    private static final double TICKS_PER_SECOND = 100;

    private ProcFiles() {}

    /** User and system time of all threads, in steps of 10 ms. */
    static double cpuSeconds(String pid) throws IOException {
        return cpuSecondsOf(Files.readString(Path.of("/proc", pid, "stat"), StandardCharsets.ISO_8859_1));
    }

    /** The same of the text of {@code stat}. The name in parentheses may hold anything, also spaces. */
    static double cpuSecondsOf(String stat) {
        String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ", -1);
        return (Long.parseLong(fields[USER_TIME]) + Long.parseLong(fields[USER_TIME + 1])) / TICKS_PER_SECOND;
    }

    /** The most memory that the process had resident so far, in KiB. */
    static long peakResidentKib(String pid) throws IOException {
        String status = Files.readString(Path.of("/proc", pid, "status"), StandardCharsets.ISO_8859_1);
        String line = status.lines()
                .filter(l -> l.startsWith("VmHWM:"))
                .findFirst()
                .orElseThrow(() -> new IOException("no VmHWM for process " + pid));
        return Long.parseLong(line.replaceAll("[^0-9]", ""));
    }
}
