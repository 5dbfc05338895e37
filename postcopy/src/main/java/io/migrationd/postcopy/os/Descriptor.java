package io.migrationd.postcopy.os;

import java.util.concurrent.atomic.AtomicInteger;

/**
 * Owner of one file descriptor: it is closed exactly once, however often {@link #close} is called. Whoever uses the
 * number on another thread ends before the owner closes, or the number may mean another file by then.
 */
public final class Descriptor implements AutoCloseable {
    private static final int CLOSED = -1;

    private final AtomicInteger number;

    /** Takes over {@code number}, which is open and belongs to nobody else. */
    public Descriptor(int number) {
        if (number < 0) {
            throw new IllegalArgumentException("descriptor " + number);
        }
        this.number = new AtomicInteger(number);
    }

    /** The number, for calls; it stays ours. */
    public int number() {
        int open = number.get();
        if (open == CLOSED) {
            throw new IllegalStateException("the descriptor is closed");
        }
        return open;
    }

    @Override
    public void close() {
        int open = number.getAndSet(CLOSED);
        if (open != CLOSED) {
            Libc.close(open);
        }
    }

    @Override
    public String toString() {
        return "fd " + number.get();
    }
}
