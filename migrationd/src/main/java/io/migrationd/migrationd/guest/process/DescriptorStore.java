package io.migrationd.migrationd.guest.process;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Libc;
import java.io.FileDescriptor;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;
import org.newsclub.net.unix.AFUNIXDatagramChannel;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.FileDescriptorCast;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The service manager's copy of what guests have handed over (sd_notify(3), {@code FDSTORE=1}; sd_listen_fds(3)). It
 * keeps a guest's userfaultfd and memory alive while there is no daemon, even if the VMM has closed its own. Without a
 * service manager nothing is kept. Thread-safe; never waits, and a failure only costs the copy.
 */
public final class DescriptorStore implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(DescriptorStore.class);
    private static final String PREFIX = "guest-";
    private static final int FIRST_PASSED = 3;
    private static final int MAX_PASSED = 1 << 16;

    private final @Nullable AFUNIXSocketAddress manager;
    /** What the service manager has passed to us, by guest, until that guest comes back. */
    private final Map<String, List<Descriptor>> passed = new HashMap<>();

    private DescriptorStore(@Nullable AFUNIXSocketAddress manager) {
        this.manager = manager;
    }

    /** Keeps nothing. */
    public static DescriptorStore none() {
        return new DescriptorStore(null);
    }

    /**
     * Tells the manager that {@code NOTIFY_SOCKET} names, and takes over what it has passed for guests:
     * {@code LISTEN_PID}, {@code LISTEN_FDS}, {@code LISTEN_FDNAMES}. Once per process.
     */
    public static DescriptorStore of(Map<String, String> environment) throws IOException {
        return of(environment, FIRST_PASSED);
    }

    /** {@code firstPassed} is the number of the first descriptor that the manager has passed. */
    static DescriptorStore of(Map<String, String> environment, int firstPassed) throws IOException {
        String address = environment.get("NOTIFY_SOCKET");
        if (address == null || address.isEmpty()) {
            return none();
        }
        DescriptorStore store = new DescriptorStore(
                address.startsWith("@")
                        ? AFUNIXSocketAddress.inAbstractNamespace(address.substring(1))
                        : AFUNIXSocketAddress.of(Path.of(address)));
        try {
            store.takeOver(environment, firstPassed);
            return store;
        } catch (IOException | RuntimeException e) {
            store.close();
            throw e;
        }
    }

    private void takeOver(Map<String, String> environment, int firstPassed) throws IOException {
        String self = Long.toString(ProcessHandle.current().pid());
        if (!self.equals(environment.get("LISTEN_PID"))) {
            return;
        }
        String[] names = environment.getOrDefault("LISTEN_FDNAMES", "").split(":", -1);
        int count = passedCount(environment.getOrDefault("LISTEN_FDS", "0"));
        for (int i = 0; i < count && i < names.length; i++) {
            if (names[i].startsWith(PREFIX)) {
                hold(names[i].substring(PREFIX.length()), firstPassed + i);
            }
        }
        log.atInfo().addKeyValue("guests", passed.keySet()).log("memory of guests was kept while there was no daemon");
    }

    private static int passedCount(String count) throws IOException {
        try {
            return Math.clamp(Long.parseLong(count), 0, MAX_PASSED);
        } catch (NumberFormatException e) {
            throw new IOException("LISTEN_FDS is not a number: " + count, e);
        }
    }

    private synchronized void hold(String guest, int number) throws ErrnoException {
        Libc.setCloseOnExec(number, true);
        passed.computeIfAbsent(guest, name -> new ArrayList<>()).add(new Descriptor(number));
    }

    /** A guest has attached: its descriptors are kept instead of all that was kept under its name. */
    synchronized void keep(String guest, List<Integer> descriptors) {
        forget(guest);
        send(guest, "FDSTORE=1\nFDPOLL=0\n", descriptors);
    }

    /** A guest is gone for good. */
    synchronized void forget(String guest) {
        send(guest, "FDSTOREREMOVE=1\n", List.of());
        letGo(guest);
    }

    /** Guests that have not come back by now are given up. */
    synchronized void forgetLost() {
        for (String guest : guestsNotBack()) {
            log.atWarn().addKeyValue("guest", guest).log("its memory was kept, but the guest did not come back");
            forget(guest);
        }
    }

    /** Guests whose descriptors were passed to us, and who have not come back yet. */
    synchronized Set<String> guestsNotBack() {
        return new HashSet<>(passed.keySet());
    }

    private void letGo(String guest) {
        List<Descriptor> held = passed.remove(guest);
        if (held != null) {
            held.forEach(Descriptor::close);
        }
    }

    private void send(String guest, String state, List<Integer> descriptors) {
        if (manager == null) {
            return;
        }
        ByteBuffer message = ByteBuffer.wrap((state + "FDNAME=" + PREFIX + guest).getBytes(StandardCharsets.UTF_8));
        FileDescriptor[] outbound = new FileDescriptor[descriptors.size()];
        // Connected for each message: a manager that was restarted has another socket of that name.
        try (AFUNIXDatagramChannel channel = AFUNIXDatagramChannel.open()) {
            for (int i = 0; i < outbound.length; i++) {
                outbound[i] = FileDescriptorCast.unsafeUsing(descriptors.get(i)).getFileDescriptor();
            }
            channel.configureBlocking(false);
            channel.connect(manager);
            channel.setOutboundFileDescriptors(outbound);
            if (channel.write(message) == 0) {
                throw new IOException("the service manager does not read");
            }
        } catch (IOException e) {
            log.atWarn()
                    .addKeyValue("guest", guest)
                    .setCause(e)
                    .log("the service manager keeps no copy of the guest's descriptors");
        }
    }

    /** Lets go of our own copies; the manager keeps its. */
    @Override
    public synchronized void close() {
        guestsNotBack().forEach(this::letGo);
    }
}
