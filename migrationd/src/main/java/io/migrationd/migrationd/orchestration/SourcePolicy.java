package io.migrationd.migrationd.orchestration;

import io.migrationd.migrationd.control.MoveOperations.PostcopyUse;
import io.migrationd.migrationd.guest.qemu.QemuMigration;
import io.migrationd.migrationd.link.session.LinkHealth;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/** Joins the convergence policy to QEMU's words and parameters. For the thread of one move, but for {@link #last}. */
final class SourcePolicy {
    private final MoveSettings settings;
    private volatile Optional<String> last = Optional.empty();
    private boolean postcopyAsked;

    SourcePolicy(MoveSettings settings) {
        this.settings = settings;
    }

    /** What is to be done. */
    sealed interface Order {
        /** Why, for people. */
        String reason();

        /** Migration parameters of QEMU, in flight. */
        record SetParameters(Map<String, Object> parameters, String reason) implements Order {}

        /** End precopy now. */
        record SwitchOver(String reason) implements Order {}

        record StartPostcopy(String reason) implements Order {}

        record Cancel(String reason) implements Order {}
    }

    List<Order> look(QemuMigration migration, @Nullable LinkHealth link) {
        boolean up = link != null && link.up();
        if (!up || migration.ram().isEmpty() || postcopyAsked) {
            return List.of();
        }
        if (settings.postcopy() == PostcopyUse.AFTER_FIRST_PASS
                && migration.ram().get().dirtySyncCount() >= 2) {
            postcopyAsked = true;
            last = Optional.of("every page was sent once: going over to postcopy");
            return List.of(new Order.StartPostcopy(last.get()));
        }
        return List.of();
    }

    /** A downtime limit with which QEMU switches over at its next look. */
    long downtimeThatSwitches() {
        return settings.maxDowntimeMillis();
    }

    /** The last decision, in words. */
    Optional<String> last() {
        return last;
    }
}
