package io.migrationd.migrationd.guest.qemu;

import java.util.List;

/**
 * Something that a preflight found.
 *
 * @param code stable, for programs; {@code docs/qemu-guests.md} lists them
 * @param text a sentence of facts
 */
public record Problem(String code, Severity severity, String text) {
    /** Whether the move can be tried all the same. */
    public enum Severity {
        /** It cannot. */
        ERROR("error"),
        /** It can. */
        WARNING("warning");

        private final String jsonName;

        Severity(String jsonName) {
            this.jsonName = jsonName;
        }

        /** The name in JSON. */
        public String jsonName() {
            return jsonName;
        }
    }

    static Problem error(String code, String text, Object... values) {
        return new Problem(code, Severity.ERROR, text.formatted(values));
    }

    static Problem warning(String code, String text, Object... values) {
        return new Problem(code, Severity.WARNING, text.formatted(values));
    }

    /** Whether one of them forbids the move. */
    public static boolean anyError(List<Problem> problems) {
        return problems.stream().anyMatch(problem -> problem.severity() == Severity.ERROR);
    }
}
