package io.migrationd.migrationd.cli;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Byte counts as people write and read them. Units are powers of 1024, as QEMU's are. */
final class Sizes {
    private static final Pattern SIZE =
            Pattern.compile("([0-9]{1,19})(?:([KMGT])(?:i?B)?|B)?", Pattern.CASE_INSENSITIVE);
    private static final String UNITS = "KMGT";

    private Sizes() {}

    /** Whether {@link #parse} takes it. */
    static boolean isSize(String text) {
        return SIZE.matcher(text).matches();
    }

    /** For example {@code 512}, {@code 64K}, {@code 1G} or {@code 1GiB}. */
    static long parse(String text) {
        Matcher size = SIZE.matcher(text);
        if (!size.matches()) {
            throw new IllegalArgumentException(
                    "expected a number of bytes such as 0, 64K, 100M or 1G, not '%s'".formatted(text));
        }
        try {
            long unit = size.group(2) == null
                    ? 1
                    : 1L << (10 * (1 + UNITS.indexOf(size.group(2).toUpperCase(Locale.ROOT))));
            return Math.multiplyExact(Long.parseLong(size.group(1)), unit);
        } catch (NumberFormatException | ArithmeticException e) {
            throw new IllegalArgumentException("'%s' is more than 2^63 - 1 bytes".formatted(text), e);
        }
    }

    /** A count of bytes, for example {@code 312.5 MiB}. */
    static String format(long bytes) {
        return format((double) bytes);
    }

    /** An estimate or an average. */
    static String format(double bytes) {
        double value = bytes;
        int unit = -1;
        while (value >= 1024 && unit < UNITS.length() - 1) {
            value /= 1024;
            unit++;
        }
        return unit < 0
                ? String.format(Locale.ROOT, "%.0f B", value)
                : String.format(Locale.ROOT, "%.1f %ciB", value, UNITS.charAt(unit));
    }
}
