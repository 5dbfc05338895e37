package io.migrationd.migrationd.guest.qemu;

import io.migrationd.postcopy.memory.HostFeatures;
import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.ForeignDescriptor;
import io.migrationd.postcopy.os.PollSet;
import io.migrationd.postcopy.os.StreamSocket;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.stream.Stream;

/**
 * The daemon's own end of a monitor connection, kept in the QEMU at its other end.
 *
 * <p>A postcopy destination whose main loop waits for a page that is missing (a device, or an interrupt under TCG, that
 * touches it) negotiates with no new client, and {@code migrate-recover}, which alone would bring the page, needs a
 * negotiated one. If the daemon dies then, its connection must not die with it. QEMU keeps any descriptor that it is
 * handed by {@code getfd}, also this one; the next daemon looks for it among QEMU's descriptors and takes a copy. Tried
 * with QEMU 7.2, 10.0.
 */
final class KeptMonitor {
    /** Under which QEMU keeps it. */
    static final String NAME = "migrationd-monitor";

    private static final String SOCKET = "socket:";
    private static final String UID = "Uid:";
    private static final int FLAGS_COLUMN = 3;
    private static final int INODE_COLUMN = 6;
    private static final int PATH_COLUMN = 7;
    /** __SO_ACCEPTON. */
    private static final String LISTENS = "00010000";

    private KeptMonitor() {}

    /**
     * A copy of the end that the QEMU behind {@code socket} keeps and that is still connected; empty if it keeps none,
     * or nobody listens there.
     *
     * <p>Nothing connects to find out: a QEMU that serves a client has room for one more that waits, and that place is
     * not ours to take.
     *
     * @param pid of the QEMU, if it is known; else all processes are looked at, for who listens at {@code socket}
     * @throws IOException if its descriptors can't be looked at: without the right to
     */
    static Optional<Descriptor> find(Path socket, OptionalLong pid) throws IOException {
        OptionalLong process = pid.isPresent() ? pid : listenerAt(socket);
        if (process.isEmpty()) {
            return Optional.empty();
        }
        for (Path link : descriptors(process.getAsLong())) {
            Optional<Descriptor> found =
                    target(link).startsWith(SOCKET) ? kept(process.getAsLong(), link, socket) : Optional.empty();
            if (found.isPresent()) {
                return found;
            }
        }
        return Optional.empty();
    }

    /**
     * Whether a daemon that did not start the QEMU may take a copy of its descriptors. This one perhaps may only
     * because QEMU is its child: so Yama's ptrace_scope 1 has it.
     */
    static boolean mayBeFoundByAnother() {
        return HostFeatures.hasPtraceCapability() || !yamaRestricts();
    }

    private static boolean yamaRestricts() {
        try {
            return !Files.readString(Path.of("/proc/sys/kernel/yama/ptrace_scope"))
                    .strip()
                    .equals("0");
        } catch (IOException noYama) {
            return false;
        }
    }

    /** Wire source: proc_net_unix in proc(5): Num RefCount Protocol Flags Type St Inode Path. */
    private static OptionalLong listenerAt(Path socket) throws IOException {
        Set<String> links = new HashSet<>();
        try (Stream<String> lines = Files.lines(Path.of("/proc/net/unix"), StandardCharsets.ISO_8859_1)) {
            lines.map(line -> line.strip().split(" +", PATH_COLUMN + 1))
                    .filter(columns -> columns.length > PATH_COLUMN)
                    .filter(columns -> columns[PATH_COLUMN].equals(socket.toString()))
                    .filter(columns -> columns[FLAGS_COLUMN].equals(LISTENS))
                    .forEach(columns -> links.add(SOCKET + "[" + columns[INODE_COLUMN] + "]"));
        } catch (UncheckedIOException e) {
            throw e.getCause();
        }
        if (links.isEmpty()) {
            return OptionalLong.empty();
        }
        // Of another user it could be a socket of the same name in another mount namespace.
        String owner = Files.getAttribute(socket, "unix:uid").toString();
        try (Stream<ProcessHandle> all = ProcessHandle.allProcesses()) {
            return all.mapToLong(ProcessHandle::pid)
                    .filter(pid -> uid(pid).equals(owner))
                    .filter(pid -> descriptors(pid).stream().anyMatch(link -> links.contains(target(link))))
                    .findFirst();
        }
    }

    /** The line {@code Uid:} of proc_pid_status(5) begins with the real one. */
    private static String uid(long pid) {
        try (Stream<String> lines =
                Files.lines(Path.of("/proc", Long.toString(pid), "status"), StandardCharsets.ISO_8859_1)) {
            return lines.filter(line -> line.startsWith(UID))
                    .map(line -> line.substring(UID.length()).strip().split("\\s+", 2)[0])
                    .findFirst()
                    .orElse("");
        } catch (IOException | UncheckedIOException e) {
            return "";
        }
    }

    /** Nothing of a process that has ended, or is another user's. */
    private static List<Path> descriptors(long pid) {
        try (Stream<Path> links = Files.list(Path.of("/proc", Long.toString(pid), "fd"))) {
            return links.toList();
        } catch (IOException | UncheckedIOException e) {
            return List.of();
        }
    }

    private static String target(Path link) {
        try {
            return Files.readSymbolicLink(link).toString();
        } catch (IOException closedMeanwhile) {
            return "";
        }
    }

    private static Optional<Descriptor> kept(long pid, Path link, Path socket) throws IOException {
        Descriptor copy;
        try {
            copy = ForeignDescriptor.of(pid, Integer.parseInt(link.getFileName().toString()));
        } catch (ErrnoException e) {
            if (e.errno() == Errno.EBADF) {
                return Optional.empty(); // Closed meanwhile.
            }
            throw e;
        }
        try {
            if (isPeerOf(copy, socket) && !hasEnded(copy)) {
                return Optional.of(copy);
            }
        } catch (IOException e) {
            copy.close();
            throw e;
        }
        copy.close();
        return Optional.empty();
    }

    /**
     * Our end has no name. One that QEMU has accepted has that of its listener, and whoever connected to it may have
     * any name, also that of the monitor in a mount namespace of his own.
     */
    private static boolean isPeerOf(Descriptor descriptor, Path socket) {
        try {
            return StreamSocket.ownPath(descriptor.number()).isEmpty()
                    && StreamSocket.peerPath(descriptor.number())
                            .filter(path -> path.equals(socket.toString()))
                            .isPresent();
        } catch (IOException noUnixSocket) {
            return false;
        }
    }

    private static boolean hasEnded(Descriptor descriptor) throws IOException {
        PollSet look = new PollSet(descriptor.number());
        look.setEvents(0, PollSet.POLLRDHUP);
        return look.poll(0) != 0;
    }
}
