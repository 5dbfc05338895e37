package io.migrationd.postcopy.fault;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Page-request table")
class PageRequestsTest {
    private final PageRequests requests = new PageRequests();
    private final List<Long> asked = new ArrayList<>();

    @Test
    void pageIsAskedForOnceHoweverManyWait() {
        assertThat(requests.add(0x1000, 1, 0)).isTrue();
        assertThat(requests.add(0x1000, 2, 0)).isFalse();
        assertThat(requests.add(0x1000, 2, 0)).isFalse();
        assertThat(requests.add(0x2000, 2, 0)).isTrue();
        assertThat(requests.snapshot().pending()).isEqualTo(2);
        assertThat(requests.remove(0x1000)).isTrue();
        assertThat(requests.remove(0x1000)).isFalse();
        assertThat(requests.snapshot().waits()).isEqualTo(2);
        assertThat(requests.add(0x1000, 1, 0)).as("missing again").isTrue();
    }

    @Test
    void threadsThatAreNotToldApartAreOne() {
        requests.add(0x1000, 0, 0);
        requests.add(0x1000, 0, 0);
        requests.remove(0x1000);
        assertThat(requests.snapshot().waits()).isEqualTo(1);
    }

    @Test
    void resumeAsksInTheOrderOfTheFaults() throws IOException {
        requests.park();
        for (long page : new long[] {0x3000, 0x1000, 0x2000}) {
            assertThat(requests.add(page, 1, 0)).isFalse();
        }
        requests.add(0x3000, 2, 0);
        requests.remove(0x1000);
        requests.resume(asked::add);
        assertThat(asked).containsExactly(0x3000L, 0x2000L);
        assertThat(requests.add(0x4000, 1, 0)).isTrue();
    }

    @Test
    void faultDuringAResumeIsAskedForByIt() throws IOException {
        requests.add(0x1000, 1, 0);
        requests.add(0x2000, 2, 0);
        requests.resume(page -> {
            asked.add(page);
            if (page == 0x1000) {
                assertThat(requests.add(0x5000, 3, 0)).isFalse();
                requests.remove(0x2000);
            }
        });
        assertThat(asked).containsExactly(0x1000L, 0x5000L);
    }

    @Test
    void resumeThatFailsStaysParked() {
        requests.add(0x1000, 1, 0);
        assertThatExceptionOfType(IOException.class)
                .isThrownBy(() -> requests.resume(page -> {
                    throw new IOException("cut");
                }));
        assertThat(requests.add(0x2000, 2, 0)).isFalse();
        assertThat(requests.snapshot().pending()).isEqualTo(2);
    }

    @Test
    void rangeIsForgotten() {
        for (long page = 0x1000; page <= 0x5000; page += 0x1000) {
            requests.add(page, 1, 0);
        }
        requests.removeRange(0x2000, 0x4000);
        assertThat(requests.snapshot().pending()).isEqualTo(3);
        assertThat(requests.snapshot().waits()).isEqualTo(2);
        assertThat(requests.remove(0x4000)).isTrue();
    }

    @Test
    void knowsSinceWhenTheOldestPageIsWaitedFor() {
        PageRequests requests = new PageRequests();
        assertThat(requests.awaitedSinceNanos()).isEmpty();
        requests.add(0x1000, 1, 100);
        requests.add(0x2000, 2, 200);
        requests.add(0x1000, 3, 300);
        assertThat(requests.awaitedSinceNanos()).hasValue(100);
        requests.remove(0x1000);
        assertThat(requests.awaitedSinceNanos()).hasValue(200);
        requests.removeRange(0x2000, 0x3000);
        assertThat(requests.awaitedSinceNanos()).isEmpty();
    }
}
