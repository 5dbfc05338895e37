package io.migrationd.postcopy.memory;

import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Userfaultfd;
import java.util.List;

/**
 * The guest process's half of a {@link UffdDirtyLog}: a userfaultfd in which its mappings are registered for
 * asynchronous write protection. No fault is ever delivered, so nobody has to serve it, no privilege is needed, and
 * Java code may touch the memory freely. Tracking ends when the last copy of the descriptor is closed.
 */
public final class WriteTracking implements AutoCloseable {
    static final long FEATURES = Userfaultfd.FEATURE_WP_ASYNC
            | Userfaultfd.FEATURE_WP_HUGETLBFS_SHMEM
            | Userfaultfd.FEATURE_WP_UNPOPULATED
            | Userfaultfd.FEATURE_PAGEFAULT_FLAG_WP;

    private final Userfaultfd userfaultfd;

    private WriteTracking(Userfaultfd userfaultfd) {
        this.userfaultfd = userfaultfd;
    }

    /** Registers the mappings. EINVAL from UFFDIO_API on kernels before 6.7. */
    public static WriteTracking of(List<SharedMapping> mappings) throws ErrnoException {
        Userfaultfd userfaultfd = Userfaultfd.openUserModeOnly();
        try {
            userfaultfd.api(FEATURES);
            for (SharedMapping mapping : mappings) {
                long hostVirtual = mapping.segment().address();
                userfaultfd.register(hostVirtual, mapping.segment().byteSize(), Userfaultfd.REGISTER_WP);
            }
            return new WriteTracking(userfaultfd);
        } catch (ErrnoException | RuntimeException e) {
            userfaultfd.close();
            throw e;
        }
    }

    /** To be passed to the daemon (SCM_RIGHTS); it stays ours. */
    public int fd() {
        return userfaultfd.fd();
    }

    @Override
    public void close() {
        userfaultfd.close();
    }
}
