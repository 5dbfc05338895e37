package io.migrationd.it.peer;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/**
 * What a QEMU looks like to its guest. Both ends of a migration get the same one.
 *
 * @param type {@code pc} or {@code q35}
 * @param firmware image for {@code -bios}
 * @param vga adds a graphics card, which has RAM blocks of its own
 * @param dimm a file with the first content of a DIMM; the QEMU takes a private copy
 */
public record QemuMachine(
        String type, long memoryBytes, int vcpus, Backend backend, Path firmware, boolean vga, Optional<Path> dimm) {
    /** The name of the DIMM's RAM block. */
    public static final String DIMM_BLOCK = "dimm0";

    /** Where the main RAM comes from, which also decides the name of its block. */
    public enum Backend {
        /** The machine's own. */
        PLAIN("pc.ram"),
        /** Anonymous memory as an object. */
        RAM("m0"),
        /** A memfd as an object. */
        MEMFD("m0");

        private final String blockName;

        Backend(String blockName) {
            this.blockName = blockName;
        }

        /** The name of the main RAM block in the stream. */
        public String blockName() {
            return blockName;
        }
    }

    /** What QEMU is started with, besides serial line, QMP and name. */
    public List<String> arguments() throws IOException {
        List<String> arguments = new ArrayList<>(List.of("-accel", "tcg", "-nodefaults", "-display", "none"));
        String machine = type;
        if (backend != Backend.PLAIN) {
            String object = backend == Backend.RAM ? "memory-backend-ram" : "memory-backend-memfd";
            arguments.addAll(List.of("-object", "%s,id=m0,size=%d".formatted(object, memoryBytes)));
            machine += ",memory-backend=m0";
        }
        arguments.addAll(List.of("-machine", machine, "-m", memory(), "-smp", Integer.toString(vcpus)));
        arguments.addAll(List.of("-bios", firmware.toString()));
        if (vga) {
            arguments.addAll(List.of("-device", "VGA"));
        }
        if (dimm.isPresent()) {
            Path file = dimm.get();
            arguments.addAll(List.of(
                    "-object",
                    "memory-backend-file,id=%s,share=off,size=%d,mem-path=%s"
                            .formatted(DIMM_BLOCK, Files.size(file), file)));
            arguments.addAll(List.of("-device", "pc-dimm,memdev=" + DIMM_BLOCK));
        }
        return arguments;
    }

    private String memory() {
        return memoryBytes + "B" + (dimm.isPresent() ? ",slots=1,maxmem=1G" : "");
    }
}
