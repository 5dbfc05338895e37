package io.migrationd.it.peer;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/**
 * What a QEMU looks like to its guest. Both ends of a migration get the same one.
 *
 * @param type {@code pc} or {@code q35}
 * @param firmware image for {@code -bios}
 * @param devices further arguments, such as {@code -device VGA}
 */
public record QemuMachine(
        String type, long memoryBytes, int vcpus, Backend backend, Path firmware, List<String> devices) {
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

    List<String> arguments() {
        List<String> arguments = new ArrayList<>(List.of("-accel", "tcg", "-nodefaults", "-display", "none"));
        String machine = type;
        if (backend != Backend.PLAIN) {
            String object = backend == Backend.RAM ? "memory-backend-ram" : "memory-backend-memfd";
            arguments.addAll(List.of("-object", "%s,id=m0,size=%d".formatted(object, memoryBytes)));
            machine += ",memory-backend=m0";
        }
        arguments.addAll(List.of("-machine", machine, "-m", memoryBytes + "B", "-smp", Integer.toString(vcpus)));
        arguments.addAll(List.of("-bios", firmware.toString()));
        arguments.addAll(devices);
        return arguments;
    }
}
