package io.migrationd.returnpath;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Writes every call down as one line. */
final class RecordingListener implements ReturnPathListener {
    private final List<String> calls = new CopyOnWriteArrayList<>();
    private final CountDownLatch closed = new CountDownLatch(1);

    /** The calls, once {@link #onClosed} was one of them. */
    List<String> callsUntilClosed() throws InterruptedException {
        assertThat(closed.await(10, TimeUnit.SECONDS))
                .as("closed after %s", calls)
                .isTrue();
        return calls;
    }

    List<String> calls() {
        return calls;
    }

    @Override
    public void onShut(int status) {
        calls.add("shut " + status);
    }

    @Override
    public void onPong(int value) {
        calls.add("pong " + value);
    }

    @Override
    public void onPageRequest(String block, long start, int lengthBytes) {
        calls.add("request %s 0x%x 0x%x".formatted(block, start, lengthBytes));
    }

    @Override
    public void onReceivedBitmap(String block, ReceivedPages pages) {
        calls.add("bitmap %s %s".formatted(block, pages));
    }

    @Override
    public void onResumeAck() {
        calls.add("resume-ack");
    }

    @Override
    public void onSwitchoverAck() {
        calls.add("switchover-ack");
    }

    @Override
    public void onClosed(Optional<IOException> failure) {
        calls.add(failure.map(e -> "failed: " + e.getMessage()).orElse("closed"));
        closed.countDown();
    }
}
