package io.migrationd.migrationd.control;

import io.migrationd.migrationd.guest.GuestKind;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationParameters;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import org.jspecify.annotations.Nullable;

/** Guests without engines: they remember what was asked of them. */
final class FakeGuests implements GuestDirectory {
    private final Map<String, FakeGuest> guests = new ConcurrentSkipListMap<>();

    FakeGuest add(String name) {
        FakeGuest guest = new FakeGuest(name);
        guests.put(name, guest);
        return guest;
    }

    @Override
    public List<GuestOperations> guests() {
        return List.copyOf(guests.values());
    }

    @Override
    public Optional<GuestOperations> find(String name) {
        return Optional.ofNullable(guests.get(name));
    }

    @Override
    public GuestOperations createParked(String name) throws CommandException {
        if (!GuestDirectory.isName(name)) {
            throw new CommandException("'" + name + "' is not a guest's name");
        }
        return add(name);
    }

    @Override
    public void remove(String name) {
        guests.remove(name);
    }

    static final class FakeGuest implements GuestOperations {
        private final String name;
        final List<String> calls = new CopyOnWriteArrayList<>();
        private final Set<Capability> on = EnumSet.noneOf(Capability.class);
        private volatile MigrationParameters parameters = MigrationParameters.DEFAULTS;
        volatile MigrationInfo info = MigrationInfo.NONE;
        /** When set, {@code stop} waits for it, as for a guest that does not answer. */
        volatile @Nullable CountDownLatch stopGate;

        FakeGuest(String name) {
            this.name = name;
        }

        @Override
        public void reclaim() {
            calls.add("reclaim");
        }

        @Override
        public GuestView view() {
            return new GuestView(
                    name,
                    GuestKind.PARKED,
                    RunState.INMIGRATE,
                    "00112233-4455-6677-8899-aabbccddeeff",
                    null,
                    1 << 20,
                    List.of(new BlockView("pc.ram", 1 << 20, 4096)),
                    List.of(new DeviceView("timer", 0, 2, -1), new DeviceView("rtc", 1, 3, 17)),
                    null,
                    info.status(),
                    Map.of("ok", true));
        }

        @Override
        public void migrate(String uri) {
            calls.add("migrate " + uri);
        }

        @Override
        public void migrateIncoming(String uri) {
            calls.add("migrate-incoming " + uri);
        }

        @Override
        public void migrateResume(String uri) {
            calls.add("migrate resume " + uri);
        }

        @Override
        public void migrateStartPostcopy() {
            calls.add("migrate-start-postcopy");
        }

        @Override
        public void migratePause() {
            calls.add("migrate-pause");
        }

        @Override
        public void migrateRecover(String uri) {
            calls.add("migrate-recover " + uri);
        }

        @Override
        public void migrateCancel() {
            calls.add("migrate_cancel");
        }

        @Override
        public void migrateContinue(String state) throws CommandException {
            throw new CommandException("Migration not in expected state: none");
        }

        @Override
        public synchronized void setCapabilities(Map<Capability, Boolean> changes) {
            changes.forEach((capability, state) -> {
                if (state) {
                    on.add(capability);
                } else {
                    on.remove(capability);
                }
            });
        }

        @Override
        public synchronized Set<Capability> capabilities() {
            return EnumSet.copyOf(on);
        }

        @Override
        public void setParameters(MigrationParameters changed) {
            parameters = changed;
        }

        @Override
        public MigrationParameters parameters() {
            return parameters;
        }

        @Override
        public MigrationInfo queryMigrate() {
            return info;
        }

        @Override
        public RunState queryStatus() {
            return RunState.RUNNING;
        }

        @Override
        public void stop() throws CommandException {
            calls.add("stop");
            CountDownLatch gate = stopGate;
            if (gate != null) {
                try {
                    gate.await();
                } catch (InterruptedException e) {
                    throw new CommandException("interrupted", e);
                }
            }
        }

        @Override
        public void cont() {
            throw new IllegalStateException("a fault of the daemon");
        }
    }
}
