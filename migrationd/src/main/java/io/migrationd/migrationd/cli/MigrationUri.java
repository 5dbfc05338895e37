package io.migrationd.migrationd.cli;

import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** An address as QMP writes it. Which transports there are is for the daemon to say. */
record MigrationUri(String text) {
    static final MigrationUri NONE = new MigrationUri("");
    private static final Pattern FORM = Pattern.compile("[a-z]+:.+");

    /** Catches the usual slip, a host without its transport, before anything is changed. */
    static final class Converter implements ITypeConverter<MigrationUri> {
        @Override
        public MigrationUri convert(String text) {
            if (FORM.matcher(text).matches() && !text.contains("://")) {
                return new MigrationUri(text);
            }
            throw new TypeConversionException("expected tcp:HOST:PORT or unix:PATH, not '%s'".formatted(text));
        }
    }
}
