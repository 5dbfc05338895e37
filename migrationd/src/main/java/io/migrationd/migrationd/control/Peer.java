package io.migrationd.migrationd.control;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.newsclub.net.unix.AFUNIXSocketCredentials;

/**
 * Who is at the other end of a socket, as the kernel knows it: unix(7), SO_PEERCRED.
 *
 * @param pid 0 if the process is in another pid namespace
 * @param gids its group and, as far as they can be known, its supplementary groups
 */
public record Peer(int uid, Set<Integer> gids, int pid) {
    /**
     * SO_PEERCRED names one group only. The others are read from {@code /proc/PID/status}, provided that the process of
     * that number still belongs to the same user: a number used anew then lends no other user's groups.
     */
    static Peer of(AFUNIXSocketCredentials credentials) {
        int uid = (int) credentials.getUid();
        int pid = (int) Math.max(0, credentials.getPid());
        Set<Integer> gids = new HashSet<>();
        for (long gid : credentials.getGids()) {
            gids.add((int) gid);
        }
        gids.addAll(supplementaryGroups(Path.of("/proc/" + pid + "/status"), uid));
        return new Peer(uid, Set.copyOf(gids), pid);
    }

    /** The line {@code Groups:} of proc_pid_status(5), if all four numbers of {@code Uid:} are {@code uid}. */
    static Set<Integer> supplementaryGroups(Path status, int uid) {
        List<String> lines;
        try {
            lines = Files.readAllLines(status, StandardCharsets.ISO_8859_1);
        } catch (IOException e) {
            // The process is gone or hidden from us: it keeps what SO_PEERCRED said, which is less.
            return Set.of();
        }
        boolean sameUser = numbers(lines, "Uid:").allMatch(number -> number == uid);
        Set<Integer> groups = new HashSet<>();
        if (sameUser) {
            numbers(lines, "Groups:").forEach(groups::add);
        }
        return groups;
    }

    private static Stream<Integer> numbers(List<String> lines, String field) {
        return lines.stream()
                .filter(line -> line.startsWith(field))
                .flatMap(
                        line -> Stream.of(line.substring(field.length()).strip().split("\\s+")))
                .filter(text -> !text.isEmpty())
                .map(Integer::parseUnsignedInt);
    }

    @Override
    public String toString() {
        return "uid " + Integer.toUnsignedString(uid) + ", pid " + pid;
    }
}
