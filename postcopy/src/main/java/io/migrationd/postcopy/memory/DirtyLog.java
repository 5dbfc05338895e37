package io.migrationd.postcopy.memory;

import io.migrationd.postcopy.os.ErrnoException;

/** What a running guest has written. One thread collects; {@link #close} ends tracking. */
public interface DirtyLog extends AutoCloseable {
    /**
     * Adds to {@code dirty} every page of {@code block} that was written since the last collection, and starts anew for
     * them, atomically per page: a write is in this collection or in the next, never in none. The first collection
     * marks every page.
     *
     * @return how many bits went from clean to dirty
     */
    long collect(RamBlock block, PageBitmap dirty) throws ErrnoException;

    @Override
    void close();

    /** The log of a guest that does not run: the first collection of a block marks every page, later ones none. */
    static DirtyLog ofStoppedGuest() {
        return new StoppedDirtyLog();
    }
}
