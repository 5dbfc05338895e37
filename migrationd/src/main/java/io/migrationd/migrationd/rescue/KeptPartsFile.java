package io.migrationd.migrationd.rescue;

import io.migrationd.migrationd.journal.DurableFiles;
import java.io.DataInputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;

/**
 * {@link KeptParts} in a file, replaced atomically and on stable storage when it was written:
 *
 * <pre>
 * 8 bytes   "MIGKEPT1"
 * be32      length of the prologue      bytes
 * be32      length of the RAM setup     bytes
 * be32      length of the package       bytes
 * 32 bytes  SHA-256 of all before
 * </pre>
 */
public final class KeptPartsFile {
    private static final byte[] MAGIC = "MIGKEPT1".getBytes(StandardCharsets.US_ASCII);
    private static final int HASH_BYTES = 32;
    private static final int PARTS = 3;
    private static final long MOST_BYTES = MAGIC.length
            + (long) PARTS * Integer.BYTES
            + KeptParts.MAX_PROLOGUE_BYTES
            + KeptParts.MAX_RAM_SETUP_BYTES
            + KeptParts.MAX_PACKAGED_BYTES
            + HASH_BYTES;

    private KeptPartsFile() {}

    /** Replaces the file. Durable when it returns; a crash before leaves the old one or none. */
    public static void write(Path file, KeptParts parts) throws IOException {
        byte[][] all = {parts.prologue(), parts.ramSetup(), parts.packaged()};
        int size = MAGIC.length + HASH_BYTES;
        for (byte[] part : all) {
            size += Integer.BYTES + part.length;
        }
        // One array of the right size: a package is large beside the daemon's heap.
        ByteBuffer bytes = ByteBuffer.allocate(size).put(MAGIC);
        for (byte[] part : all) {
            bytes.putInt(part.length).put(part);
        }
        bytes.put(sha256(bytes.duplicate().flip()));
        DurableFiles.replace(file, bytes.array());
    }

    /**
     * Reads it back.
     *
     * @throws IOException if it is not there, or is not whole to the last bit
     */
    public static KeptParts read(Path file) throws IOException {
        long size = Files.size(file);
        if (size > MOST_BYTES) {
            throw new IOException("%s has %d bytes, more than %d".formatted(file, size, MOST_BYTES));
        }
        try (DataInputStream in = new DataInputStream(Files.newInputStream(file))) {
            // The file may grow meanwhile: what was asked for above is what is read.
            ByteBuffer bytes = ByteBuffer.wrap(in.readNBytes((int) size));
            return decode(file, bytes);
        }
    }

    private static KeptParts decode(Path file, ByteBuffer bytes) throws IOException {
        byte[] magic = new byte[MAGIC.length];
        if (bytes.remaining() < MAGIC.length + HASH_BYTES) {
            throw new IOException("%s has only %d bytes".formatted(file, bytes.remaining()));
        }
        int contentBytes = bytes.remaining() - HASH_BYTES;
        bytes.get(magic);
        if (!Arrays.equals(magic, MAGIC)) {
            throw new IOException(file + " holds no kept parts of a migration");
        }
        byte[] hash = new byte[HASH_BYTES];
        bytes.get(contentBytes, hash);
        if (!MessageDigest.isEqual(hash, sha256(bytes.duplicate().position(0).limit(contentBytes)))) {
            throw new IOException(file + " is damaged: its checksum does not fit");
        }
        bytes.limit(contentBytes);
        byte[][] parts = new byte[PARTS][];
        for (int i = 0; i < PARTS; i++) {
            int length = bytes.remaining() < Integer.BYTES ? -1 : bytes.getInt();
            if (length < 0 || length > bytes.remaining()) {
                throw new IOException("%s: part %d of %d does not fit the file".formatted(file, i + 1, PARTS));
            }
            parts[i] = new byte[length];
            bytes.get(parts[i]);
        }
        if (bytes.hasRemaining()) {
            throw new IOException("%s: %d bytes too many".formatted(file, bytes.remaining()));
        }
        try {
            return new KeptParts(parts[0], parts[1], parts[2]);
        } catch (IllegalArgumentException e) {
            throw new IOException(file + " holds parts of impossible size", e);
        }
    }

    private static byte[] sha256(ByteBuffer bytes) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            digest.update(bytes);
            return digest.digest();
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
