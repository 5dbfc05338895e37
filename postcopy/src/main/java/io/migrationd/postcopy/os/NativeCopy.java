package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.MemorySegment;
import java.lang.ref.Reference;

/**
 * memcpy(3) for memory that a userfaultfd of this process guards. The copying thread is in native code as far as the
 * JVM is concerned: if it waits for a missing page, only it waits, and safepoints and collections go on without it.
 * Java code that touched such a page itself would stop the whole JVM (docs/adr/0007).
 */
@SuppressWarnings("restricted") // Binding C functions is what this package is for.
public final class NativeCopy {
    private static final NativeFunction MEMCPY =
            NativeFunction.of("memcpy", NativeFunction.WORD, NativeFunction.WORD, NativeFunction.WORD, JAVA_LONG);

    private NativeCopy() {}

    /** Copies between two native segments that do not overlap; either may be guarded. */
    public static void copy(
            MemorySegment source, long sourceOffset, MemorySegment target, long targetOffset, long lengthBytes) {
        long from = Libc.address(source, sourceOffset, lengthBytes);
        long to = Libc.address(target, targetOffset, lengthBytes);
        try {
            MEMCPY.call(to, from, lengthBytes);
        } finally {
            Reference.reachabilityFence(source);
            Reference.reachabilityFence(target);
        }
    }
}
