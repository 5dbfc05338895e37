package io.migrationd.migrationd.control;

/** A command was refused. It becomes a QMP error; nothing was changed. */
public final class CommandException extends Exception {
    /** QMP's error classes that we use. */
    public enum ErrorClass {
        GENERIC("GenericError"),
        COMMAND_NOT_FOUND("CommandNotFound"),
        DEVICE_NOT_FOUND("DeviceNotFound");

        private final String qmpName;

        ErrorClass(String qmpName) {
            this.qmpName = qmpName;
        }

        /** The name in a reply. */
        public String qmpName() {
            return qmpName;
        }
    }

    private final ErrorClass errorClass;

    /** A GenericError. The message is a sentence of facts for a person. */
    public CommandException(String message) {
        this(ErrorClass.GENERIC, message);
    }

    /** An error of that class. */
    public CommandException(ErrorClass errorClass, String message) {
        super(message);
        this.errorClass = errorClass;
    }

    /** An error with its cause; its text is not repeated in {@code message}. */
    public CommandException(String message, Throwable cause) {
        super(message, cause);
        this.errorClass = ErrorClass.GENERIC;
    }

    /** What the reply says in {@code class}. */
    public ErrorClass errorClass() {
        return errorClass;
    }
}
