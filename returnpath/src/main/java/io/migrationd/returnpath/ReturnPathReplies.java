package io.migrationd.returnpath;

import java.io.IOException;
import java.time.Duration;
import java.util.BitSet;
import java.util.HashSet;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;

/**
 * What has come back on one connection, for the migration thread to wait for. A wait ends at once when the return path
 * failed or was shut and what it waits for can no longer come. The listener has always been told before a wait returns.
 *
 * <p>Thread-safe.
 */
public final class ReturnPathReplies {
    /** PONGs with larger values are answers to nothing that QEMU or we ask; they are not remembered. */
    private static final int MAX_PONG_VALUE = 255;

    private final ReentrantLock lock = new ReentrantLock();
    private final Condition changed = lock.newCondition();

    // All guarded by lock.
    private final BitSet pongs = new BitSet(MAX_PONG_VALUE + 1);
    private final Set<String> bitmaps = new HashSet<>();
    private boolean resumeAcked;
    private boolean switchoverAcked;
    private OptionalInt shutStatus = OptionalInt.empty();
    private Optional<IOException> failure = Optional.empty();

    ReturnPathReplies() {}

    /**
     * Waits for SHUT and returns its status; 0 is good.
     *
     * @throws IOException if the return path failed before
     * @throws TimeoutException if it did not come in time
     */
    public int awaitShut(Duration timeout) throws IOException, TimeoutException, InterruptedException {
        await("SHUT", timeout, () -> shutStatus.isPresent());
        return shutStatus().orElseThrow();
    }

    /**
     * Waits for the answer to PING {@code value}, 0 to 255.
     *
     * @throws IOException if the return path failed or was shut before
     * @throws TimeoutException if it did not come in time
     */
    public void awaitPong(int value, Duration timeout) throws IOException, TimeoutException, InterruptedException {
        requirePongValue(value);
        await("PONG " + value, timeout, () -> pongs.get(value));
    }

    /**
     * Waits until the destination allows the switchover.
     *
     * @throws IOException if the return path failed or was shut before
     * @throws TimeoutException if it did not come in time
     */
    public void awaitSwitchoverAck(Duration timeout) throws IOException, TimeoutException, InterruptedException {
        await("SWITCHOVER_ACK", timeout, () -> switchoverAcked);
    }

    /**
     * Waits until the destination goes on with postcopy.
     *
     * @throws IOException if the return path failed or was shut before
     * @throws TimeoutException if it did not come in time
     */
    public void awaitResumeAck(Duration timeout) throws IOException, TimeoutException, InterruptedException {
        await("RESUME_ACK", timeout, () -> resumeAcked);
    }

    /**
     * Waits until {@link ReturnPathListener#onReceivedBitmap} was called for {@code block}.
     *
     * @throws IOException if the return path failed or was shut before
     * @throws TimeoutException if it did not come in time
     */
    public void awaitReceivedBitmap(String block, Duration timeout)
            throws IOException, TimeoutException, InterruptedException {
        await("received bitmap of '" + block + "'", timeout, () -> bitmaps.contains(block));
    }

    /** Whether the answer to PING {@code value}, 0 to 255, has come. */
    public boolean hasPong(int value) {
        requirePongValue(value);
        lock.lock();
        try {
            return pongs.get(value);
        } finally {
            lock.unlock();
        }
    }

    /** Whether the destination has allowed the switchover. */
    public boolean isSwitchoverAcked() {
        lock.lock();
        try {
            return switchoverAcked;
        } finally {
            lock.unlock();
        }
    }

    /** The status of SHUT, once it has come. */
    public OptionalInt shutStatus() {
        lock.lock();
        try {
            return shutStatus;
        } finally {
            lock.unlock();
        }
    }

    /** Why the return path ended without SHUT. */
    public Optional<IOException> failure() {
        lock.lock();
        try {
            return failure;
        } finally {
            lock.unlock();
        }
    }

    void shut(int status) {
        change(() -> shutStatus = OptionalInt.of(status));
    }

    void pong(int value) {
        if (value >= 0 && value <= MAX_PONG_VALUE) {
            change(() -> pongs.set(value));
        }
    }

    void receivedBitmap(String block) {
        change(() -> bitmaps.add(block));
    }

    boolean hasReceivedBitmap(String block) {
        lock.lock();
        try {
            return bitmaps.contains(block);
        } finally {
            lock.unlock();
        }
    }

    void resumeAck() {
        change(() -> resumeAcked = true);
    }

    void switchoverAck() {
        change(() -> switchoverAcked = true);
    }

    void fail(IOException cause) {
        change(() -> failure = failure.or(() -> Optional.of(cause)));
    }

    private void change(Runnable change) {
        lock.lock();
        try {
            change.run();
            changed.signalAll();
        } finally {
            lock.unlock();
        }
    }

    private void await(String what, Duration timeout, BooleanSupplier done)
            throws IOException, TimeoutException, InterruptedException {
        long left = TimeUnit.NANOSECONDS.convert(timeout);
        lock.lockInterruptibly();
        try {
            while (!done.getAsBoolean()) {
                if (failure.isPresent()) {
                    throw new IOException("no " + what + ": the return path failed", failure.get());
                }
                if (shutStatus.isPresent()) {
                    throw new IOException(
                            "no " + what + ": the return path was shut with status " + shutStatus.getAsInt());
                }
                if (left <= 0) {
                    throw new TimeoutException("no " + what + " within " + timeout.toMillis() + " ms");
                }
                left = changed.awaitNanos(left);
            }
        } finally {
            lock.unlock();
        }
    }

    private static void requirePongValue(int value) {
        if (value < 0 || value > MAX_PONG_VALUE) {
            throw new IllegalArgumentException("PONG values are 0 to " + MAX_PONG_VALUE + ", not " + value);
        }
    }
}
