package io.migrationd.protocol.vmstate;

import java.io.IOException;
import java.util.function.Predicate;

/** Elements with rules of their own. */
final class OtherElements {
    private OtherElements() {}

    /** A hand-written encoder. */
    record Custom<T>(ElementCodec<T> codec) implements Element<T> {
        @Override
        public String typeName() {
            return codec.typeName();
        }

        @Override
        public long nominalSizeBytes() {
            return 0;
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            codec.save(state, to.out());
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            codec.load(state, in);
        }
    }

    /** A check among the fields: no bytes, no entry in descriptions. */
    record Validation<T>(String name, Predicate<T> test) implements Element<T> {
        @Override
        public String typeName() {
            return "validation";
        }

        @Override
        public long nominalSizeBytes() {
            return 0;
        }

        @Override
        public boolean isValidation() {
            return true;
        }

        @Override
        public void save(T state, int index, VmStateWriter to) throws VmStateException {
            if (!test.test(state)) {
                throw new VmStateException(name, "the state to be saved is not valid");
            }
        }

        @Override
        public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
            if (in.comparesValues() && !test.test(state)) {
                throw in.rejection(in.offset(), "a valid state", "one that the check refuses");
            }
        }
    }
}
