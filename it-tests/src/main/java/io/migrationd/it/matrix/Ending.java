package io.migrationd.it.matrix;

/** Where a guest may run when everything is over. */
public enum Ending {
    SOURCE,
    DESTINATION,
    /** It depends on what was faster; in one place anyway. */
    EITHER;

    boolean allows(Ending actual) {
        return this == EITHER || this == actual;
    }
}
