package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.time.Duration;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;
import org.junit.jupiter.api.Test;

class ThreadJoinTest {
    @Test
    void reportsNameAndStackOfAThreadThatDoesNotStop() throws InterruptedException {
        var entered = new CountDownLatch(1);
        var release = new CountDownLatch(1);
        Thread thread = Thread.ofPlatform().name("mig-rp-7").start(() -> holdUntil(entered, release));
        entered.await();

        assertThatThrownBy(() -> ThreadJoin.join(thread, Duration.ofMillis(1)))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("thread mig-rp-7 did not stop within 1 ms")
                .cause()
                .hasMessage("where thread mig-rp-7 is")
                .satisfies(where -> assertThat(Arrays.stream(where.getStackTrace()))
                        .extracting(StackTraceElement::getMethodName)
                        .contains("holdUntil"));

        release.countDown();
        ThreadJoin.join(thread, Duration.ofSeconds(10));
        assertThat(thread.isAlive()).isFalse();
    }

    @Test
    void anInterruptIsKeptAndDoesNotCutTheWaitShort() {
        var release = new CountDownLatch(1);
        Thread thread = Thread.ofPlatform().start(() -> holdUntil(new CountDownLatch(1), release));
        Thread.ofPlatform().start(release::countDown);

        Thread.currentThread().interrupt();
        ThreadJoin.join(thread, Duration.ofSeconds(10));

        assertThat(Thread.interrupted()).isTrue();
        assertThat(thread.isAlive()).isFalse();
    }

    private static void holdUntil(CountDownLatch entered, CountDownLatch release) {
        entered.countDown();
        try {
            release.await();
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
