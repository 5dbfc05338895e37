package io.migrationd.protocol.vmstate;

import java.util.List;
import java.util.function.Predicate;

/**
 * What the state of a device is made of, in wire order, and what is to be done around saving and loading it. The same
 * class describes subsections and nested structs. Source: QEMU 10.0 include/migration/vmstate.h,
 * {@code VMStateDescription}.
 *
 * @param <T> the state object
 */
public final class VmStateDescription<T> {
    /** Work before or after saving, and before loading. */
    @FunctionalInterface
    public interface Hook<T> {
        /** Throws if the state can't be saved, or can't be loaded into. */
        void run(T state) throws VmStateException;
    }

    /** Work after loading; also knows the version that was in force. */
    @FunctionalInterface
    public interface LoadHook<T> {
        /** Throws if what was loaded makes no sense. */
        void run(T state, int version) throws VmStateException;
    }

    private final Builder<T> parts;
    private final List<VmStateField<T>> fields;
    private final List<VmStateDescription<T>> subsections;

    private VmStateDescription(Builder<T> parts) {
        this.parts = parts.copy();
        this.fields = List.copyOf(parts.fields);
        this.subsections = List.copyOf(parts.subsections);
    }

    /** Starts a description; its minimum version is {@code version} until told otherwise. */
    public static <T> Builder<T> named(String name, int version) {
        return new Builder<>(name, version);
    }

    /** The name; a subsection's begins with its parent's. */
    public String name() {
        return parts.name;
    }

    /** The version that is saved and the newest that can be loaded. */
    public int version() {
        return parts.version;
    }

    /** The oldest version that can be loaded. */
    public int minimumVersion() {
        return parts.minimumVersion;
    }

    /** In wire order. */
    public List<VmStateField<T>> fields() {
        return fields;
    }

    /** In wire order. */
    public List<VmStateDescription<T>> subsections() {
        return subsections;
    }

    /** Not needed: the section or subsection is left out. */
    public boolean isNeeded(T state) {
        return parts.needed.test(state);
    }

    /** A guest with such a device can't be migrated. */
    public boolean unmigratable() {
        return parts.unmigratable;
    }

    /** The section is sent in the setup phase and not again. */
    public boolean earlySetup() {
        return parts.earlySetup;
    }

    /** Place among the sections. */
    public VmStatePriority priority() {
        return parts.priority;
    }

    /** The guest hasn't released the device yet: the source waits after setup. */
    public boolean isUnplugPending(T state) {
        return parts.unplugPending.test(state);
    }

    void preSave(T state) throws VmStateException {
        parts.preSave.run(state);
    }

    void postSave(T state) throws VmStateException {
        parts.postSave.run(state);
    }

    void preLoad(T state) throws VmStateException {
        parts.preLoad.run(state);
    }

    void postLoad(T state, int version) throws VmStateException {
        parts.postLoad.run(state, version);
    }

    boolean isUniform() {
        return subsections.isEmpty() && fields.stream().allMatch(VmStateField::isUniform);
    }

    /** Name of a field in descriptions: fields that share a name are numbered. */
    String describedName(VmStateField<T> field) {
        List<VmStateField<T>> sameName =
                fields.stream().filter(f -> f.name().equals(field.name())).toList();
        return sameName.size() == 1 ? field.name() : field.name() + "[" + sameName.indexOf(field) + "]";
    }

    /** Collects the parts. Not thread-safe. */
    public static final class Builder<T> {
        private final String name;
        private final int version;
        private int minimumVersion;
        private List<VmStateField<T>> fields = List.of();
        private List<VmStateDescription<T>> subsections = List.of();
        private Hook<T> preSave = s -> {};
        private Hook<T> postSave = s -> {};
        private Hook<T> preLoad = s -> {};
        private LoadHook<T> postLoad = (s, v) -> {};
        private Predicate<T> needed = s -> true;
        private Predicate<T> unplugPending = s -> false;
        private boolean unmigratable;
        private boolean earlySetup;
        private VmStatePriority priority = VmStatePriority.DEFAULT;

        private Builder(String name, int version) {
            this.name = name;
            this.version = version;
            this.minimumVersion = version;
        }

        private Builder<T> copy() {
            Builder<T> copy = new Builder<>(name, version);
            copy.minimumVersion = minimumVersion;
            copy.preSave = preSave;
            copy.postSave = postSave;
            copy.preLoad = preLoad;
            copy.postLoad = postLoad;
            copy.needed = needed;
            copy.unplugPending = unplugPending;
            copy.unmigratable = unmigratable;
            copy.earlySetup = earlySetup;
            copy.priority = priority;
            return copy;
        }

        /** The oldest version that can be loaded. */
        public Builder<T> minimumVersion(int oldest) {
            minimumVersion = oldest;
            return this;
        }

        /** The fields, in wire order. */
        @SafeVarargs
        @SuppressWarnings("varargs") // Copied at once.
        public final Builder<T> fields(VmStateField<T>... inWireOrder) {
            return fields(List.of(inWireOrder));
        }

        /** The fields, in wire order. */
        public Builder<T> fields(List<VmStateField<T>> inWireOrder) {
            fields = inWireOrder;
            return this;
        }

        /** The subsections, in wire order. */
        @SafeVarargs
        @SuppressWarnings("varargs") // Copied at once.
        public final Builder<T> subsections(VmStateDescription<T>... inWireOrder) {
            return subsections(List.of(inWireOrder));
        }

        /** The subsections, in wire order. */
        public Builder<T> subsections(List<VmStateDescription<T>> inWireOrder) {
            subsections = inWireOrder;
            return this;
        }

        /** Before saving: derive members that are written. */
        public Builder<T> preSave(Hook<T> hook) {
            preSave = hook;
            return this;
        }

        /** After saving, also when saving failed: undo what pre-save did. */
        public Builder<T> postSave(Hook<T> hook) {
            postSave = hook;
            return this;
        }

        /** Before loading. */
        public Builder<T> preLoad(Hook<T> hook) {
            preLoad = hook;
            return this;
        }

        /** After the fields and subsections are loaded: check and derive. */
        public Builder<T> postLoad(LoadHook<T> hook) {
            postLoad = hook;
            return this;
        }

        /** When the section or subsection is written. */
        public Builder<T> needed(Predicate<T> test) {
            needed = test;
            return this;
        }

        /** When the guest hasn't released the device yet. */
        public Builder<T> unplugPending(Predicate<T> test) {
            unplugPending = test;
            return this;
        }

        /** The device forbids migration. */
        public Builder<T> unmigratable() {
            unmigratable = true;
            return this;
        }

        /** The section belongs to the setup phase. */
        public Builder<T> earlySetup() {
            earlySetup = true;
            return this;
        }

        /** Place among the sections. */
        public Builder<T> priority(VmStatePriority place) {
            priority = place;
            return this;
        }

        /**
         * The description.
         *
         * @throws IllegalArgumentException if the minimum version is above the version, or a subsection's name doesn't
         *     continue this name
         */
        public VmStateDescription<T> build() {
            if (minimumVersion > version) {
                throw new IllegalArgumentException(
                        "%s: minimum version %d is above version %d".formatted(name, minimumVersion, version));
            }
            for (VmStateDescription<T> subsection : subsections) {
                String child = subsection.name();
                if (!child.startsWith(name) || child.length() == name.length()) {
                    throw new IllegalArgumentException(
                            "the name of subsection '%s' does not continue '%s'".formatted(child, name));
                }
            }
            return new VmStateDescription<>(this);
        }
    }
}
