package io.migrationd.returnpath;

/**
 * One message from the destination of a migration to its source. Wire source: QEMU 10.0 migration/migration.h, enum
 * mig_rp_message_type.
 */
public sealed interface ReturnPathMessage {
    /** The last message: 0 says that the destination has applied everything, anything else that its load failed. */
    record Shut(int status) implements ReturnPathMessage {
        /** The destination took over. */
        public static final int GOOD = 0;

        /** The load failed. The only other value that QEMU sends. */
        public static final int FAILED = 1;
    }

    /** The answer to the forward command PING, with its value. PONGs of different threads come in any order. */
    record Pong(int value) implements ReturnPathMessage {}

    /** Asks for memory of a block and makes it the block of the {@link RequestPages} that follow. */
    record RequestPagesOf(String block, long start, int lengthBytes) implements ReturnPathMessage {
        /** {@code start} counts bytes from the start of the block and is not negative; the length is positive. */
        public RequestPagesOf {
            requireRange(start, lengthBytes);
        }
    }

    /** Asks for memory of the block that was named last on this connection. */
    record RequestPages(long start, int lengthBytes) implements ReturnPathMessage {
        /** {@code start} counts bytes from the start of the block and is not negative; the length is positive. */
        public RequestPages {
            requireRange(start, lengthBytes);
        }
    }

    /** The answer to the forward command RECV_BITMAP: which pages of a block the destination has. */
    record ReceivedBitmap(String block, ReceivedPages pages) implements ReturnPathMessage {}

    /** The answer to the forward command POSTCOPY_RESUME. */
    record ResumeAck(int value) implements ReturnPathMessage {
        /** The only legal value. */
        public static final int GOOD = 1;
    }

    /** The destination's devices allow the switchover. */
    record SwitchoverAck() implements ReturnPathMessage {}

    private static void requireRange(long start, int lengthBytes) {
        if (start < 0 || lengthBytes <= 0) {
            throw new IllegalArgumentException("a page request of " + lengthBytes + " bytes at " + start);
        }
    }
}
