package io.migrationd.migrationd.cli;

/** The demo cannot go on. */
final class DemoException extends Exception {
    static final int FAILED = 1;
    static final int HOST_CANNOT = 3;

    private final int exitCode;

    DemoException(String message) {
        this(FAILED, message);
    }

    DemoException(int exitCode, String message) {
        super(message);
        this.exitCode = exitCode;
    }

    DemoException(String message, Throwable cause) {
        super("%s: %s".formatted(message, cause.getMessage()), cause);
        this.exitCode = FAILED;
    }

    int exitCode() {
        return exitCode;
    }
}
