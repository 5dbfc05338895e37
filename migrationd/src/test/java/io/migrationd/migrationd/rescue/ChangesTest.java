package io.migrationd.migrationd.rescue;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.locks.ReentrantLock;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@DisplayName("Changes")
class ChangesTest {
    /** As an engine announces its end: with the lock that whoever waits needs to look at it. */
    @Test
    @Timeout(value = 20, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void signalUnderTheConditionsOwnLockDoesNotBlock() throws Exception {
        Changes changes = new Changes((guest, name, data) -> {});
        ReentrantLock engine = new ReentrantLock();
        CountDownLatch held = new CountDownLatch(1);
        CountDownLatch looking = new CountDownLatch(1);
        Thread signaller = Thread.ofPlatform().daemon().start(() -> {
            engine.lock();
            try {
                held.countDown();
                looking.await();
                changes.event("web01", "STOP", Map.of());
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            } finally {
                engine.unlock();
            }
        });
        held.await();

        assertThat(changes.await(10_000, () -> {
                    looking.countDown();
                    engine.lock();
                    try {
                        return true;
                    } finally {
                        engine.unlock();
                    }
                }))
                .isTrue();
        signaller.join();
    }

    @Test
    void givesUpInTime() throws Exception {
        Changes changes = new Changes((guest, name, data) -> {});
        assertThat(changes.await(5, () -> false)).isFalse();
    }
}
