package io.migrationd.migrationd.outgoing;

import io.migrationd.returnpath.ReceivedPages;
import io.migrationd.returnpath.ReturnPathListener;
import java.io.IOException;
import java.util.Optional;
import java.util.function.Consumer;

/** What the source does with the return path in precopy: end the migration when it ends badly, else wake who waits. */
class SourceReturnPath implements ReturnPathListener {
    private final Consumer<IOException> ended;
    private final Runnable wake;

    SourceReturnPath(Consumer<IOException> ended, Runnable wake) {
        this.ended = ended;
        this.wake = wake;
    }

    @Override
    public void onShut(int status) {
        if (status != 0) {
            ended.accept(new IOException(
                    "the destination reported failure %d; its log says why".formatted(Integer.toUnsignedLong(status))));
        }
        wake.run();
    }

    @Override
    public void onPong(int value) {
        wake.run();
    }

    @Override
    public void onPageRequest(String block, long start, int lengthBytes) {
        // In precopy every page is sent anyway; a request is legal and needs no answer of its own.
    }

    @Override
    public void onReceivedBitmap(String block, ReceivedPages pages) {
        // Never awaited in precopy: the dispatcher refuses it before it gets here.
    }

    @Override
    public void onResumeAck() {
        // Means nothing in precopy; QEMU ignores it as well.
    }

    @Override
    public void onSwitchoverAck() {
        wake.run();
    }

    @Override
    public void onClosed(Optional<IOException> failure) {
        failure.ifPresent(ended);
    }
}
