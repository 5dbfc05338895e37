package io.migrationd.migrationd.relay.tap;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * Keeps the parts of a main channel from which a rescue composes a new stream if the destination dies before it has run
 * (spec 10 §8.3): what the destination was told before any page. Fed by a {@link MainTap}; bounded, and what is over
 * its bound is not kept at all.
 */
public final class StreamKeeper {
    /** Bound of prologue and RAM setup together. */
    public static final int MAX_SETUP_BYTES = 1 << 20;

    /** Bound of the package. */
    public static final int MAX_PACKAGE_BYTES = 16 << 20;

    private final int maxSetupBytes;
    private final int maxPackageBytes;
    private final Part prologue = new Part("the prologue");
    private final Part ramSetup = new Part("the RAM setup");
    private final Part packaged = new Part("the package");
    private @Nullable Part open;

    /** A keeper with the usual bounds. */
    public StreamKeeper() {
        this(MAX_SETUP_BYTES, MAX_PACKAGE_BYTES);
    }

    StreamKeeper(int maxSetupBytes, int maxPackageBytes) {
        this.maxSetupBytes = maxSetupBytes;
        this.maxPackageBytes = maxPackageBytes;
    }

    /**
     * Header, configuration and the early device sections of the setup, wherever these stood before the first PART; no
     * commands. Absent until iteration begins, or if it was not kept.
     */
    public Optional<byte[]> prologue() {
        return prologue.whole();
    }

    /** The START of the RAM section with its footer: the block list. Absent until complete, or if it was not kept. */
    public Optional<byte[]> ramSetup() {
        return ramSetup.whole();
    }

    /** The bytes of the package, without the command before it. Absent until complete, or if it was not kept. */
    public Optional<byte[]> packaged() {
        return packaged.whole();
    }

    /** Why something is missing, in words; absent if nothing was given up. */
    public Optional<String> notKept() {
        String prologueWhy = prologue.dropped;
        String setupWhy = ramSetup.dropped;
        String packageWhy = packaged.dropped;
        if (prologueWhy != null) {
            return Optional.of(prologueWhy);
        }
        return setupWhy != null ? Optional.of(setupWhy) : Optional.ofNullable(packageWhy);
    }

    /** Bytes held now. */
    public long heldBytes() {
        return (long) prologue.count + ramSetup.count + packaged.count;
    }

    /** Lets go of everything: the destination is known to run, so that nothing may be composed any more. */
    public void release() {
        String why = "released, the destination has run";
        open = null;
        prologue.drop(why);
        ramSetup.drop(why);
        packaged.drop(why);
    }

    void beginPrologue() {
        open = prologue;
    }

    void beginRamSetup() {
        open = ramSetup;
    }

    void beginPackage(long size) {
        if (size > maxPackageBytes) {
            packaged.drop("the package of %d bytes is over the bound of %d".formatted(size, maxPackageBytes));
        }
        open = packaged;
    }

    boolean isOpen() {
        return open != null;
    }

    /** What was open is interrupted; the prologue may go on later. */
    void pause() {
        if (open == ramSetup || open == packaged) {
            open.complete = true;
        }
        open = null;
    }

    void prologueComplete() {
        prologue.complete = true;
    }

    /** The tap is lost: what is not whole by now will never be. */
    void abandon(String why) {
        for (Part part : new Part[] {prologue, ramSetup, packaged}) {
            if (!part.complete) {
                part.drop("the tap was lost: " + why);
            }
        }
        open = null;
    }

    void add(ByteBuffer in, int at, int length) {
        Part part = open;
        if (part == null || part.dropped != null) {
            return;
        }
        int room = part == packaged ? maxPackageBytes - part.count : maxSetupBytes - prologue.count - ramSetup.count;
        if (length > room) {
            part.drop("%s is over the bound of %d bytes"
                    .formatted(part.name, part == packaged ? maxPackageBytes : maxSetupBytes));
        } else {
            part.add(in, at, length);
        }
    }

    /** One of the parts; it grows with what came, not with what was announced. */
    private static final class Part {
        private final String name;
        private byte[] bytes = new byte[0];
        private int count;
        private boolean complete;
        private @Nullable String dropped;

        Part(String name) {
            this.name = name;
        }

        void add(ByteBuffer in, int at, int length) {
            if (bytes.length - count < length) {
                bytes = Arrays.copyOf(bytes, Math.max(count + length, 2 * bytes.length));
            }
            in.get(at, bytes, count, length);
            count += length;
        }

        void drop(String why) {
            if (dropped == null) {
                dropped = why;
                bytes = new byte[0];
                count = 0;
            }
        }

        Optional<byte[]> whole() {
            return complete && dropped == null ? Optional.of(Arrays.copyOf(bytes, count)) : Optional.empty();
        }
    }
}
