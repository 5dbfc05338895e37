package io.migrationd.it.guest;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Debian's cloud kernel with a program of ours, {@code linux-guest.c}: it keeps checksummed pages, watches the clock,
 * echoes TCP and prints a line each second, see {@link LinuxLog}.
 *
 * @param folder what bin/install-linux-guest has made
 * @param hotKibibytes what each CPU keeps writing
 * @param coldMebibytes what is written once and looked at all the time
 * @param pauseMicros pause of a writer after each page: it sets the dirty rate
 */
public record LinuxGuest(Path folder, int vcpus, int hotKibibytes, int coldMebibytes, int pauseMicros) {
    /** How to get one. */
    public static final String HINT = "no Linux guest (bin/install-linux-guest unpacks one)";
    /** Its address on its only network card. */
    public static final String ADDRESS = "10.0.2.15";
    /** Where it echoes. */
    public static final int ECHO_PORT = 7;

    /** No multiple of 256 KiB: see BootGuest.memoryBytes. */
    private static final long MEMORY_BYTES = (192L << 20) + 8192;

    private static final String PROGRAM_SOURCE = "linux-guest.c";

    /** Where it is, if it is installed: what MIGRATIOND_LINUX_GUEST names, or below the project root. */
    public static Optional<Path> installed() {
        return Stream.concat(
                        Stream.ofNullable(System.getenv("MIGRATIOND_LINUX_GUEST"))
                                .map(Path::of),
                        Stream.iterate(Path.of("").toAbsolutePath(), f -> f != null, Path::getParent)
                                .map(parent -> parent.resolve(".local/linux-guest")))
                .filter(folder -> Files.exists(folder.resolve("version")))
                .findFirst();
    }

    /** With 1 MiB of hot pages for each CPU and 32 MiB of cold ones. */
    public static LinuxGuest standard(Path folder, int vcpus) {
        return new LinuxGuest(folder, vcpus, 1024, 32, 1000);
    }

    /** Compiles the program and makes the initramfs in {@code work}. */
    public Path initramfs(Path work) throws IOException, InterruptedException {
        CpioArchive archive = new CpioArchive()
                .directory("bin")
                .directory("dev")
                .directory("proc")
                .directory("sys")
                .directory("modules")
                .file("bin/busybox", Files.readAllBytes(folder.resolve("busybox")))
                .file("writer", Files.readAllBytes(compile(work)))
                .file("init", init().getBytes(StandardCharsets.US_ASCII));
        for (String module : modules()) {
            archive.file("modules/" + module + ".ko", Files.readAllBytes(folder.resolve("modules/" + module + ".ko")));
        }
        return Files.write(work.resolve("initramfs"), archive.finish());
    }

    private List<String> modules() throws IOException {
        return Files.readAllLines(folder.resolve("modules/order"));
    }

    private String init() throws IOException {
        StringBuilder script = new StringBuilder("""
                #!/bin/busybox sh
                b=/bin/busybox
                $b mount -t proc proc /proc
                $b mount -t sysfs sys /sys
                $b mount -t devtmpfs dev /dev
                """);
        for (String module : modules()) {
            script.append("$b insmod /modules/").append(module).append(".ko\n");
        }
        return script.append("$b ifconfig lo 127.0.0.1 up\n")
                .append("$b ifconfig eth0 ")
                .append(ADDRESS)
                .append(" netmask 255.255.255.0 up\nexec /writer\n")
                .toString();
    }

    private static Path compile(Path work) throws IOException, InterruptedException {
        Path source = work.resolve(PROGRAM_SOURCE);
        try (InputStream text = LinuxGuest.class.getResourceAsStream(PROGRAM_SOURCE)) {
            if (text == null) {
                throw new IOException("no resource " + PROGRAM_SOURCE);
            }
            Files.write(source, text.readAllBytes());
        }
        Path program = work.resolve("writer");
        Process compiler = new ProcessBuilder(
                        "cc", "-O2", "-static", "-pthread", "-o", program.toString(), source.toString())
                .redirectErrorStream(true)
                .start();
        String said = new String(compiler.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (compiler.waitFor() != 0) {
            throw new IOException("cc failed (Debian packages gcc and libc6-dev): " + said.strip());
        }
        return program;
    }

    /**
     * Arguments of QEMU: all but serial line, QMP and name.
     *
     * @param netdev the network of its card, without the id, such as {@code user}
     */
    public List<String> qemuArguments(String machine, Path initramfs, String netdev) {
        // No time stamp counter: what the clock shows is then the machine's own timer, which migrates as a device.
        String commandLine = "console=ttyS0 quiet loglevel=3 panic=-1 clocksource=acpi_pm tsc=unstable mitigations=off"
                + " HOT_KIB=%d COLD_MIB=%d PAUSE_US=%d".formatted(hotKibibytes, coldMebibytes, pauseMicros);
        return List.of(
                "-accel",
                "tcg",
                "-nodefaults",
                "-display",
                "none",
                "-no-reboot",
                "-machine",
                machine,
                "-m",
                MEMORY_BYTES + "B",
                "-smp",
                Integer.toString(vcpus),
                "-kernel",
                folder.resolve("vmlinuz").toString(),
                "-initrd",
                initramfs.toString(),
                "-append",
                commandLine,
                "-netdev",
                netdev + ",id=n0",
                "-device",
                "virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,romfile=");
    }
}
