package io.migrationd.migrationd.sample;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class GateTest {
    private final Gate gate = new Gate(1);
    private final CountDownLatch passed = new CountDownLatch(1);
    private final CountDownLatch page = new CountDownLatch(1);

    /** Passes once, waits for its page, passes again; the result is whether it was let through. */
    private CompletableFuture<Boolean> worker() {
        return CompletableFuture.supplyAsync(() -> {
            try {
                gate.pass();
                passed.countDown();
                page.await();
                return gate.pass();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
    }

    @Test
    void staysOpenWhenAWorkerDoesNotCome() throws Exception {
        gate.open();
        CompletableFuture<Boolean> worker = worker();
        passed.await();

        assertThat(gate.close(50)).isFalse();

        page.countDown();
        assertThat(worker.get(10, TimeUnit.SECONDS)).isTrue();
    }

    @Test
    void closesWhenAllWait() throws Exception {
        CompletableFuture<Boolean> worker = worker();

        assertThat(gate.close(10_000)).isTrue();
        assertThat(worker).isNotDone();

        gate.end();
        page.countDown();
        assertThat(worker.get(10, TimeUnit.SECONDS)).isFalse();
    }
}
