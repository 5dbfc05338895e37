package io.migrationd.migrationd.guest.process;

import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/** Who is at the other end of the guest socket. */
final class PeerProcess {
    private static final String NAMESPACE_PIDS = "NSpid:";

    private PeerProcess() {}

    /**
     * The peer's pid as we must use it: that of the socket's credential. The pid in the hello is how the VMM sees
     * itself; in a pid namespace of its own it is another number, which /proc/PID/status tells (proc(5), NSpid).
     *
     * @throws ProtocolException if the hello was sent for another process than the one that connected
     */
    static long verify(long credentialPid, long claimedPid) throws IOException {
        if (credentialPid <= 0) {
            throw new ProtocolException(
                    "message.pid", 0, "a process that this pid namespace can see", "credential pid " + credentialPid);
        }
        if (claimedPid != credentialPid && claimedPid != innermostPid(credentialPid)) {
            throw new ProtocolException(
                    "message.pid", 0, "the pid of the process that connected, " + credentialPid, claimedPid);
        }
        return credentialPid;
    }

    private static long innermostPid(long pid) throws IOException {
        List<String> status = Files.readAllLines(Path.of("/proc/" + pid + "/status"));
        return status.stream()
                .filter(line -> line.startsWith(NAMESPACE_PIDS))
                .map(line -> line.substring(NAMESPACE_PIDS.length()).trim().split("\\s+"))
                .mapToLong(pids -> Long.parseLong(pids[pids.length - 1]))
                .findFirst()
                .orElse(pid);
    }
}
