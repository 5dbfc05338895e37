package io.migrationd.it.bench;

import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Bytes on the command line: {@code 512M}, {@code 1G}. Units are powers of 1024. */
final class ByteSize implements ITypeConverter<Long> {
    static final double GIB = 1L << 30;

    private static final Pattern SIZE = Pattern.compile("([0-9]{1,9})([KMGT])");
    private static final String UNITS = "KMGT";

    @Override
    public Long convert(String text) {
        Matcher size = SIZE.matcher(text);
        if (!size.matches()) {
            throw new TypeConversionException("expected a size such as 512M or 1G, not '" + text + "'");
        }
        return Long.parseLong(size.group(1)) << (10 * (1 + UNITS.indexOf(size.group(2))));
    }
}
