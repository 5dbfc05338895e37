package io.migrationd.migrationd.guest.process;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** Remembers what it heard. */
public final class RecordingRegistry implements GuestRegistry {
    private final List<String> news = new ArrayList<>();
    private Optional<String> refusal = Optional.empty();

    /** Refuses every new guest from now on. */
    public synchronized void refuse(String reason) {
        refusal = Optional.of(reason);
    }

    @Override
    public synchronized Optional<String> refusal(String name) {
        return refusal;
    }

    @Override
    public synchronized void attached(ProcessGuest guest) {
        news.add("attached " + guest.name());
    }

    @Override
    public synchronized void detached(ProcessGuest guest) {
        news.add("detached " + guest.name());
    }

    /** All it heard, in order. */
    public synchronized List<String> news() {
        return List.copyOf(news);
    }
}
