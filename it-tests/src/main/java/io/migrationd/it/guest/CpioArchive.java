package io.migrationd.it.guest;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Locale;

/** An initramfs: cpio of the format newc. Format: Linux Documentation/driver-api/early-userspace/buffer-format.rst. */
final class CpioArchive {
    private static final int DIRECTORY = 0040755;
    private static final int PROGRAM = 0100755;
    private static final String END = "TRAILER!!!";

    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private int inode = 1;

    CpioArchive directory(String name) {
        return entry(name, DIRECTORY, new byte[0]);
    }

    /** A file that may be executed. */
    CpioArchive file(String name, byte[] content) {
        return entry(name, PROGRAM, content);
    }

    byte[] finish() {
        entry(END, 0, new byte[0]);
        return bytes.toByteArray();
    }

    private CpioArchive entry(String name, int mode, byte[] content) {
        byte[] nameBytes = (name + "\0").getBytes(StandardCharsets.US_ASCII);
        // Magic, inode, mode, uid, gid, links, time, size, device, special device, length of the name, checksum.
        String header = String.format(
                Locale.ROOT,
                "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
                inode++,
                mode,
                0,
                0,
                1,
                0,
                content.length,
                0,
                0,
                0,
                0,
                nameBytes.length,
                0);
        bytes.writeBytes(header.getBytes(StandardCharsets.US_ASCII));
        bytes.writeBytes(nameBytes);
        pad();
        bytes.writeBytes(content);
        pad();
        return this;
    }

    private void pad() {
        while (bytes.size() % 4 != 0) {
            bytes.write(0);
        }
    }
}
