package io.migrationd.migrationd.qmp;

import java.time.Instant;
import java.util.Optional;

/**
 * Something that happened at the peer. Wire source: QEMU 10.0 docs/interop/qmp-spec.rst, asynchronous events.
 *
 * @param message the whole message
 */
public record QmpEvent(JsonObject message) {
    /** Its name, for example MIGRATION. */
    public String name() {
        return message.text("event").orElse("");
    }

    /** What it says, without members when it says nothing more than its name. */
    public JsonObject data() {
        return message.object("data").orElse(JsonObject.EMPTY);
    }

    /** The guest that it is about: every event of our daemon's own socket names one, QEMU's name none. */
    public Optional<String> guest() {
        return data().text("guest");
    }

    /** When it happened, by the peer's clock. */
    public Optional<Instant> at() {
        return message.object("timestamp")
                .filter(time -> time.number("seconds").isPresent())
                .map(time -> Instant.ofEpochSecond(
                        time.number("seconds").orElseThrow(),
                        time.number("microseconds").orElse(0) * 1000));
    }
}
