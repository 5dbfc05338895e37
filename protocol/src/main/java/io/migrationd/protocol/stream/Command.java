package io.migrationd.protocol.stream;

import java.util.List;
import java.util.Optional;

/** Commands of the source to the loader. Wire source: QEMU 10.0 migration/savevm.c, enum qemu_vm_cmd. */
public sealed interface Command {
    /** Use the reverse direction of this connection for return-path messages. */
    record OpenReturnPath() implements Command {}

    /** Answer with PONG and the same value. */
    record Ping(int value) implements Command {}

    /** Postcopy may follow. {@code pageSizes} is absent when only dirty bitmaps would. */
    record PostcopyAdvise(Optional<PageSizes> pageSizes) implements Command {}

    /** From here on pages may arrive while the guest runs; a second reader takes over the outer stream. */
    record PostcopyListen() implements Command {}

    /** Start the guest. Ends the reader that executes it, and the enclosing one. */
    record PostcopyRun() implements Command {}

    /** Drop what was received of these ranges of {@code block}; at least one range. */
    record PostcopyRamDiscard(String block, List<Range> ranges) implements Command {
        /** Copies the list. */
        public PostcopyRamDiscard {
            ranges = List.copyOf(ranges);
        }
    }

    /** {@code sizeBytes} of stream elements follow that are to be read whole before the first is executed. */
    record Packaged(long sizeBytes) implements Command {}

    /** What follows this stream is COLO replication. Not sent, and refused, by QEMU 11.1. */
    record EnableColo() implements Command {}

    /** Recovery: go on with postcopy and ask again for what is missing. */
    record PostcopyResume() implements Command {}

    /** Recovery: tell which pages of {@code block} have arrived. */
    record RecvBitmap(String block) implements Command {}

    /** The source has stopped, final data follows. Sent by QEMU 10.0 and later. */
    record SwitchoverStart() implements Command {}

    /**
     * Payload of {@link PostcopyAdvise}, both in bytes.
     *
     * @param hostPageSizeSummary the page sizes of all RAM blocks of the source, or-ed
     */
    record PageSizes(long hostPageSizeSummary, long targetPageSize) {}

    /** Bytes of a RAM block: not empty, and its end does not exceed 2^63 - 1. */
    record Range(long start, long length) {}
}
