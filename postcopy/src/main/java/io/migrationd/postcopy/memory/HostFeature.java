package io.migrationd.postcopy.memory;

/** What we need of a host beyond plain files, and how an operator gets it. */
public enum HostFeature {
    /** Serving the page faults of a guest, those that KVM takes included. */
    USERFAULTFD("set the sysctl vm.unprivileged_userfaultfd=1, or let the daemon read and write /dev/userfaultfd,"
            + " or give it CAP_SYS_PTRACE; the kernel needs CONFIG_USERFAULTFD"),
    /** Faults of missing pages in a memfd. */
    MISSING_SHMEM("use a kernel of 4.11 or later with CONFIG_SHMEM (UFFD_FEATURE_MISSING_SHMEM)"),
    /** Faults of missing pages in a memfd of huge pages. */
    MISSING_HUGETLBFS("use a kernel of 4.11 or later with CONFIG_HUGETLBFS (UFFD_FEATURE_MISSING_HUGETLBFS)"),
    /** Write protection of a memfd. */
    WP_HUGETLBFS_SHMEM("use a kernel of 5.19 or later (UFFD_FEATURE_WP_HUGETLBFS_SHMEM)"),
    /** Write protection of pages that are not there yet. */
    WP_UNPOPULATED("use a kernel of 6.4 or later (UFFD_FEATURE_WP_UNPOPULATED)"),
    /** Write protection that only takes notes. */
    WP_ASYNC("use a kernel of 6.7 or later (UFFD_FEATURE_WP_ASYNC)"),
    /** Reading and restarting these notes, tried on memory of our own. */
    PAGEMAP_SCAN("use a kernel of 6.7 or later with CONFIG_PROC_PAGE_MONITOR (ioctl PAGEMAP_SCAN)"),
    /** The same for a process that runs as another user. */
    OTHER_USERS_PAGEMAP("give the daemon CAP_SYS_PTRACE, or run the guests as its user");

    private final String remedy;

    HostFeature(String remedy) {
        this.remedy = remedy;
    }

    /** What to do to get it, as half a sentence. */
    public String remedy() {
        return remedy;
    }
}
