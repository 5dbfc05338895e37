package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.vmstate.Fields.LongAt;
import io.migrationd.protocol.vmstate.Fields.SetLongAt;
import java.io.IOException;

/** A number. */
record ScalarElement<T>(ScalarType type, LongAt<T> getter, SetLongAt<T> setter) implements Element<T> {
    @Override
    public String typeName() {
        return type.typeName();
    }

    @Override
    public long nominalSizeBytes() {
        return type.sizeBytes();
    }

    @Override
    public void save(T state, int index, VmStateWriter to) {
        type.write(getter.get(state, index), to.out());
    }

    @Override
    public void load(T state, int index, int fieldVersion, VmStateReader in) throws IOException {
        long at = in.offset();
        long value = type.read(in);
        if (in.comparesValues() && !type.isStored()) {
            type.require(value, getter.get(state, index), in, at);
        } else {
            setter.set(state, index, value);
        }
    }
}
