package io.migrationd.migrationd.relay.tap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import io.migrationd.protocol.ram.RamFlags;
import java.lang.management.ManagementFactory;
import java.nio.ByteBuffer;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Cost of a tap per page")
class TapSpeedTest {
    private static final int PIECE_PAGES = 64;
    private static final int PIECES = 4096;

    /** Pieces of 256 KiB and some, page after page of one block, as a socket hands them over. */
    @Test
    void aPageCostsAFewNanosecondsAndNoMemory() {
        int record = Long.BYTES + 4096;
        ByteBuffer piece = ByteBuffer.allocateDirect(PIECE_PAGES * record);
        MainTap tap = new MainTap();
        tap.accept(ByteBuffer.wrap(
                new StreamBuilder().header().ramStart(64).part().page(0, 0).bytes()));
        for (int i = 0; i < PIECE_PAGES; i++) {
            piece.putLong(i * record, (long) i * 4096 | RamFlags.PAGE | RamFlags.CONTINUE);
        }
        ThreadMXBean memory = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        double best = Double.MAX_VALUE;
        long allocated = Long.MAX_VALUE;
        for (int round = 0; round < 8; round++) {
            long bytesBefore = memory.getCurrentThreadAllocatedBytes();
            long start = System.nanoTime();
            for (int i = 0; i < PIECES; i++) {
                tap.accept(piece);
            }
            best = Math.min(best, (System.nanoTime() - start) / (double) (PIECES * PIECE_PAGES));
            allocated = Math.min(allocated, memory.getCurrentThreadAllocatedBytes() - bytesBefore);
        }
        System.out.printf(
                "tap: %.1f ns per page, %.2f bytes allocated per page%n",
                best, allocated / (double) (PIECES * PIECE_PAGES));
        assertEquals(
                1 + 8L * PIECES * PIECE_PAGES, tap.pages().full(), tap.status().toString());
        // Loose, for a loaded machine without optimisation; the figure is printed.
        assertTrue(best < 1000, best + " ns per page");
        assertTrue(allocated / (double) (PIECES * PIECE_PAGES) < 8, allocated + " bytes");
    }
}
