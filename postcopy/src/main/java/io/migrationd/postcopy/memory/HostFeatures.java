package io.migrationd.postcopy.memory;

import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Userfaultfd;
import java.io.IOException;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/** What this host can do for us, found by trying it. */
public final class HostFeatures {
    /** How a userfaultfd is got here that serves faults of the kernel too. */
    public enum Access {
        SYSTEM_CALL,
        DEVICE,
        NONE
    }

    private static final Map<HostFeature, Long> BITS = Map.of(
            HostFeature.MISSING_SHMEM, Userfaultfd.FEATURE_MISSING_SHMEM,
            HostFeature.MISSING_HUGETLBFS, Userfaultfd.FEATURE_MISSING_HUGETLBFS,
            HostFeature.WP_HUGETLBFS_SHMEM, Userfaultfd.FEATURE_WP_HUGETLBFS_SHMEM,
            HostFeature.WP_UNPOPULATED, Userfaultfd.FEATURE_WP_UNPOPULATED,
            HostFeature.WP_ASYNC, Userfaultfd.FEATURE_WP_ASYNC);
    private static final int CAP_SYS_PTRACE = 19;
    private static final String CAPABILITIES_KEY = "CapEff:";
    private static final int PROBED_BYTES = 4096;

    private final Map<HostFeature, String> missing = new EnumMap<>(HostFeature.class);
    private Access access = Access.NONE;

    private HostFeatures() {}

    /** Tries everything, in some milliseconds; leaves nothing behind. */
    public static HostFeatures probe() {
        HostFeatures found = new HostFeatures();
        found.probeAccess();
        found.probeBits();
        found.probeScan();
        found.probeCapability();
        return found;
    }

    /** Whether it is there. */
    public boolean has(HostFeature feature) {
        return !missing.containsKey(feature);
    }

    /** How a userfaultfd is opened. */
    public Access access() {
        return access;
    }

    /** One sentence for each that is needed and not there: what, why, and how to get it. Empty when all are there. */
    public List<String> missing(Collection<HostFeature> needed) {
        return missing.entrySet().stream()
                .filter(entry -> needed.contains(entry.getKey()))
                .map(entry -> "This host lacks %s (%s): %s."
                        .formatted(
                                entry.getKey(), entry.getValue(), entry.getKey().remedy()))
                .toList();
    }

    private void probeAccess() {
        Optional<ErrnoException> callRefused = refusal(Userfaultfd::openBySystemCall);
        if (callRefused.isEmpty()) {
            access = Access.SYSTEM_CALL;
            return;
        }
        Optional<ErrnoException> deviceRefused = refusal(Userfaultfd::openByDevice);
        if (deviceRefused.isEmpty()) {
            access = Access.DEVICE;
            return;
        }
        missing.put(
                HostFeature.USERFAULTFD,
                callRefused.get().getMessage() + "; " + deviceRefused.get().getMessage());
    }

    private void probeBits() {
        try (Userfaultfd userfaultfd = access == Access.NONE ? Userfaultfd.openUserModeOnly() : Userfaultfd.open()) {
            long offered = userfaultfd.api(0);
            BITS.forEach((feature, bit) -> {
                if ((offered & bit) == 0) {
                    missing.put(feature, "offered features %#x".formatted(offered));
                }
            });
        } catch (ErrnoException e) {
            BITS.keySet().forEach(feature -> missing.put(feature, e.getMessage()));
        }
    }

    /** The whole way once: a page of a memfd is tracked, written, found. */
    private void probeScan() {
        PageBitmap dirty = new PageBitmap(1);
        try (FdRamBlock block = FdRamBlock.createMemory("probe", PROBED_BYTES);
                SharedMapping mapping = SharedMapping.of(block);
                WriteTracking _ = WriteTracking.of(List.of(mapping));
                DirtyLog log = UffdDirtyLog.open(
                        ProcessHandle.current().pid(), List.of(mapping.range(block.name())), PROBED_BYTES)) {
            log.collect(block, dirty);
            dirty.clear(0);
            log.collect(block, dirty);
            boolean quietIsClean = dirty.cardinality() == 0;
            mapping.segment().set(ValueLayout.JAVA_BYTE, 0, (byte) 1);
            log.collect(block, dirty);
            if (!quietIsClean || dirty.cardinality() != 1) {
                missing.put(HostFeature.PAGEMAP_SCAN, "it does not report what was written");
            }
        } catch (ErrnoException e) {
            missing.put(HostFeature.PAGEMAP_SCAN, e.getMessage());
        }
    }

    private void probeCapability() {
        try {
            long effective = effectiveCapabilities();
            if ((effective & 1L << CAP_SYS_PTRACE) == 0) {
                missing.put(HostFeature.OTHER_USERS_PAGEMAP, "effective capabilities %#x".formatted(effective));
            }
        } catch (IOException e) {
            missing.put(HostFeature.OTHER_USERS_PAGEMAP, e.toString());
        }
    }

    /** Whether this process may trace any other, whatever its user and whoever started it. */
    public static boolean hasPtraceCapability() {
        try {
            return (effectiveCapabilities() & 1L << CAP_SYS_PTRACE) != 0;
        } catch (IOException e) {
            return false;
        }
    }

    private static long effectiveCapabilities() throws IOException {
        String status = Files.readString(Path.of("/proc/self/status"));
        int at = status.indexOf(CAPABILITIES_KEY) + CAPABILITIES_KEY.length();
        return Long.parseUnsignedLong(
                status.substring(at).lines().findFirst().orElseThrow().strip(), 16);
    }

    private static Optional<ErrnoException> refusal(Opener opener) {
        try {
            opener.open().close();
            return Optional.empty();
        } catch (ErrnoException e) {
            return Optional.of(e);
        }
    }

    @FunctionalInterface
    private interface Opener {
        Userfaultfd open() throws ErrnoException;
    }
}
