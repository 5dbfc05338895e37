package io.migrationd.migrationd.control;

import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.session.EventSink;
import java.time.Instant;
import java.time.InstantSource;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CopyOnWriteArrayList;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Hands events to every negotiated client of the daemon's socket, with {@code "guest"} in their data, and to those of
 * the guest's own socket. An event waits in the client's outgoing queue; a client whose queue is full is disconnected,
 * so that none misses an event unawares and no engine waits for one.
 */
public final class EventHub implements EventSink {
    private static final Logger log = LoggerFactory.getLogger(EventHub.class);

    /** A client. */
    interface Subscriber {
        /** The only guest whose events it hears; empty for all. */
        Optional<String> onlyGuest();

        /** Takes one line. Must not block and must not throw. */
        void send(byte[] line);
    }

    private final List<Subscriber> subscribers = new CopyOnWriteArrayList<>();
    private final InstantSource clock;

    /** Timestamps come from {@code clock}. */
    public EventHub(InstantSource clock) {
        this.clock = clock;
    }

    @Override
    public void event(String guest, String name, Map<String, Object> data) {
        try {
            log.atDebug()
                    .addKeyValue("guest", guest)
                    .addKeyValue("event", name)
                    .addKeyValue("data", data)
                    .log("event");
            publish(guest, name, Json.ofMap(data));
        } catch (IllegalArgumentException e) {
            // A value that JSON has no form for: our mistake, but an engine must not fail by it.
            log.atError()
                    .setCause(e)
                    .addKeyValue("guest", guest)
                    .addKeyValue("event", name)
                    .log("event was lost");
        }
    }

    void subscribe(Subscriber subscriber) {
        subscribers.add(subscriber);
    }

    void unsubscribe(Subscriber subscriber) {
        subscribers.remove(subscriber);
    }

    private void publish(String guest, String name, ObjectNode data) {
        Instant now = clock.instant();
        byte[] onGuestSocket = line(name, data, now);
        byte[] onDaemonSocket = line(name, data.deepCopy().put("guest", guest), now);
        for (Subscriber subscriber : subscribers) {
            Optional<String> only = subscriber.onlyGuest();
            if (only.isEmpty()) {
                subscriber.send(onDaemonSocket);
            } else if (only.get().equals(guest)) {
                subscriber.send(onGuestSocket);
            }
        }
    }

    private static byte[] line(String name, ObjectNode data, Instant now) {
        ObjectNode event = Json.object();
        event.putObject("timestamp").put("seconds", now.getEpochSecond()).put("microseconds", now.getNano() / 1000);
        event.put("event", name);
        if (!data.isEmpty()) {
            event.set("data", data);
        }
        return Json.line(event);
    }
}
