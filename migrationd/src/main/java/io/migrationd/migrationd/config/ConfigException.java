package io.migrationd.migrationd.config;

/** The operator's configuration is wrong. The message is one line: key, value, where it stands, what is allowed. */
public final class ConfigException extends Exception {
    private final String key;
    private final String value;
    private final String allowed;

    /** A value that is not allowed; {@code value} may say in brackets where it came from. */
    public ConfigException(String key, String value, String allowed) {
        super("%s = %s: allowed: %s".formatted(key, value, allowed));
        this.key = key;
        this.value = value;
        this.allowed = allowed;
    }

    /** The same, found out by an error whose text is part of {@code allowed} or of no use to an operator. */
    public ConfigException(String key, String value, String allowed, Throwable cause) {
        this(key, value, allowed);
        initCause(cause);
    }

    /** The key, for example {@code limits.max-guests}, or the file that cannot be read. */
    public String key() {
        return key;
    }

    /** What was given. */
    public String value() {
        return value;
    }

    /** What would have been right. */
    public String allowed() {
        return allowed;
    }
}
