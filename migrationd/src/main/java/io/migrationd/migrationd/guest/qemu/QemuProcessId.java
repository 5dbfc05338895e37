package io.migrationd.migrationd.guest.qemu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/**
 * A process that a restarted daemon recognises: a number alone may belong to another one by then.
 *
 * @param startTicks when it started, in clock ticks since the boot: proc(5), stat, field 22
 * @param bootId of this run of the kernel
 */
public record QemuProcessId(long pid, long startTicks, String bootId) {
    /** {@code state} and {@code starttime} among the fields behind the name, which may hold anything. */
    private static final int STATE = 0;

    private static final int START_TIME = 19;

    /** The process of that number as it is now. */
    public static Optional<QemuProcessId> of(long pid) {
        return stat(pid).map(fields -> new QemuProcessId(pid, Long.parseLong(fields[START_TIME]), currentBoot()));
    }

    /** Whether it still runs; one that has ended and waits for its parent does not. */
    public boolean isAlive() {
        return bootId.equals(currentBoot())
                && stat(pid)
                        .filter(fields -> Long.parseLong(fields[START_TIME]) == startTicks)
                        .filter(fields -> !fields[STATE].equals("Z") && !fields[STATE].equals("X"))
                        .isPresent();
    }

    /** A handle to signal it by, which the JDK guards against a reused number in turn. */
    Optional<ProcessHandle> handle() {
        Optional<ProcessHandle> handle = ProcessHandle.of(pid);
        return isAlive() ? handle : Optional.empty();
    }

    private static Optional<String[]> stat(long pid) {
        try {
            String line = Files.readString(Path.of("/proc", Long.toString(pid), "stat"));
            String[] fields = line.substring(line.lastIndexOf(')') + 2).strip().split(" ", -1);
            return fields.length > START_TIME ? Optional.of(fields) : Optional.empty();
        } catch (IOException | StringIndexOutOfBoundsException gone) {
            return Optional.empty();
        }
    }

    private static String currentBoot() {
        try {
            return Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip();
        } catch (IOException e) {
            return "";
        }
    }
}
