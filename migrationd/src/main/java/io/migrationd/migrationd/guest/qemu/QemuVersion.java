package io.migrationd.migrationd.guest.qemu;

import java.util.Comparator;

/** A QEMU's version. */
public record QemuVersion(int major, int minor, int micro) implements Comparable<QemuVersion> {
    private static final Comparator<QemuVersion> ORDER = Comparator.comparingInt(QemuVersion::major)
            .thenComparingInt(QemuVersion::minor)
            .thenComparingInt(QemuVersion::micro);

    /** Whether it is that version or a later one. */
    public boolean isAtLeast(int otherMajor, int otherMinor) {
        return compareTo(new QemuVersion(otherMajor, otherMinor, 0)) >= 0;
    }

    @Override
    public int compareTo(QemuVersion other) {
        return ORDER.compare(this, other);
    }

    @Override
    public String toString() {
        return "%d.%d.%d".formatted(major, minor, micro);
    }
}
