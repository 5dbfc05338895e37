package io.migrationd.postcopy.os;

/**
 * What statx(2) and fstatfs(2) say about an open file.
 *
 * @param mode type and permission bits, as in {@code st_mode}
 * @param sizeBytes length of the file
 * @param fileSystem magic number of the file system, see linux/magic.h
 * @param blockBytes {@code f_bsize}: the page size of a hugetlbfs, 4096 on tmpfs
 */
public record FileStatus(int mode, long sizeBytes, long fileSystem, long blockBytes) {
    private static final int TYPE_MASK = 0xF000;
    private static final int REGULAR = 0x8000;
    private static final long TMPFS = 0x0102_1994;
    private static final long HUGETLBFS = 0x9584_58F6L;

    /** Neither directory nor device nor socket; a memfd is regular too. */
    public boolean isRegular() {
        return (mode & TYPE_MASK) == REGULAR;
    }

    /** A memfd, or a file on tmpfs. */
    public boolean isSharedMemory() {
        return fileSystem == TMPFS;
    }

    /** A memfd of huge pages, or a file on hugetlbfs. */
    public boolean isHugePages() {
        return fileSystem == HUGETLBFS;
    }
}
