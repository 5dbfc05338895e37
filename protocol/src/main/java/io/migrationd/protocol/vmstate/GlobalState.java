package io.migrationd.protocol.vmstate;

import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Optional;
import java.util.Set;

/**
 * The section that tells in which state the guest was before the source stopped it. Wire source: QEMU 10.0
 * migration/global_state.c; 7.2 describes other fields with the same image.
 *
 * @param runState QEMU's name of the state, for example {@code running}
 * @param suspended whether the guest was suspended; sources before 9.0 don't tell
 */
public record GlobalState(String runState, Optional<Boolean> suspended) {
    /** The section's name; its instance is 0. */
    public static final String SECTION = "globalstate";

    /** The section's only version. */
    public static final int VERSION = 1;

    /** Bytes of the section's body. */
    public static final int BODY_BYTES = 104;

    /** The names that the wire may carry. */
    public static final Set<String> RUN_STATES = Set.of(
            "debug",
            "inmigrate",
            "internal-error",
            "io-error",
            "paused",
            "postmigrate",
            "prelaunch",
            "finish-migrate",
            "restore-vm",
            "running",
            "save-vm",
            "shutdown",
            "suspended",
            "watchdog",
            "guest-panicked",
            "colo");

    private static final int NAME_BYTES = 32;
    private static final int PADDING_BYTES = 66;

    private static final VmStateDescription<Image> DESCRIPTION = VmStateDescription.<Image>named(SECTION, VERSION)
            .fields(
                    Fields.u32("size", i -> i.size, (i, v) -> i.size = v),
                    Fields.buffer("runstate", Count.fixed(NAME_BYTES), i -> i.name, (i, v) -> i.name = v),
                    Fields.u8("has_vm_was_suspended", i -> i.hasSuspended, (i, v) -> i.hasSuspended = v),
                    Fields.u8("vm_was_suspended", i -> i.suspended, (i, v) -> i.suspended = v),
                    Fields.buffer("unused", Count.fixed(PADDING_BYTES), i -> new byte[PADDING_BYTES], (i, v) -> {}))
            .postLoad((image, version) -> image.requireKnownState())
            .build();

    /** Refuses names that the wire doesn't know. */
    public GlobalState {
        if (!RUN_STATES.contains(runState)) {
            throw new IllegalArgumentException("unknown run state '" + runState + "'");
        }
    }

    /** Reads the body of a section that announced {@code version}. */
    public static GlobalState decode(StreamReader in, int version) throws IOException {
        Image image = new Image();
        VmStateCodec.load(DESCRIPTION, image, in, version);
        Optional<Boolean> suspended = image.hasSuspended == 0 ? Optional.empty() : Optional.of(image.suspended != 0);
        return new GlobalState(image.runState(), suspended);
    }

    /** Writes the body and its object in the trailing description. */
    public VmDescriptionWriter.Saved encode() {
        Image image = new Image();
        byte[] name = runState.getBytes(StandardCharsets.US_ASCII);
        image.size = name.length + 1L;
        image.name = Arrays.copyOf(name, NAME_BYTES);
        image.hasSuspended = suspended.isPresent() ? 1 : 0;
        image.suspended = suspended.orElse(false) ? 1 : 0;
        try {
            return VmDescriptionWriter.save(SECTION, 0, DESCRIPTION, image);
        } catch (VmStateException e) {
            throw new AssertionError("every known run state fits", e);
        }
    }

    /** The body as it is on the wire. The length field is redundant: it is written and not believed. */
    private static final class Image {
        private long size;
        private byte[] name = new byte[NAME_BYTES];
        private long hasSuspended;
        private long suspended;

        /** Up to the first NUL; the last byte counts as one. */
        private String runState() {
            int length = 0;
            while (length < NAME_BYTES - 1 && name[length] != 0) {
                length++;
            }
            return new String(name, 0, length, StandardCharsets.ISO_8859_1);
        }

        private void requireKnownState() throws VmStateException {
            if (!RUN_STATES.contains(runState())) {
                throw new VmStateException(SECTION, "unknown run state '" + runState() + "'");
            }
        }
    }
}
