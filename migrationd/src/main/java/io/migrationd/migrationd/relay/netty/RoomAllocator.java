package io.migrationd.migrationd.relay.netty;

import io.netty.channel.DefaultMaxMessagesRecvByteBufAllocator;
import java.util.function.LongSupplier;

/** Reads no more than there is room for: what is read counts as in flight. */
final class RoomAllocator extends DefaultMaxMessagesRecvByteBufAllocator {
    /** Also the length of a frame between the daemons. */
    static final int MOST_BYTES = 64 * 1024;

    private static final int READS_IN_A_ROW = 4;

    private final LongSupplier room;

    RoomAllocator(LongSupplier room) {
        super(READS_IN_A_ROW);
        this.room = room;
    }

    @Override
    public ExtendedHandle newHandle() {
        return new MaxMessageHandle() {
            @Override
            public int guess() {
                return Math.clamp(room.getAsLong(), 1, MOST_BYTES);
            }

            @Override
            public boolean continueReading() {
                return room.getAsLong() > 0 && super.continueReading();
            }
        };
    }
}
