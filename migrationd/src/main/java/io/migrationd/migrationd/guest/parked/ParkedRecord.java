package io.migrationd.migrationd.guest.parked;

import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import io.migrationd.migrationd.guest.DeviceSection;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What {@code guest.json} in the guest's directory says. It is replaced atomically; writing it with state
 * {@code complete}, or with {@code receiving} in a postcopy, is the moment in which the guest is here.
 *
 * @param state {@code empty}, {@code receiving} (the guest is ours, its RAM is still on its way), {@code complete} or
 *     {@code migrated}
 */
record ParkedRecord(
        int version,
        String state,
        @Nullable String machineType,
        int targetPageSizeBytes,
        @Nullable String uuid,
        String runState,
        List<Block> blocks,
        List<DeviceSection> devices) {
    static final String FILE = "guest.json";
    static final String EMPTY = "empty";
    static final String RECEIVING = "receiving";
    static final String COMPLETE = "complete";
    static final String MIGRATED = "migrated";

    private static final int VERSION = 1;
    private static final ObjectMapper JSON = new ObjectMapper()
            .enable(SerializationFeature.INDENT_OUTPUT)
            .enable(DeserializationFeature.FAIL_ON_NULL_FOR_PRIMITIVES);

    /**
     * A RAM block and the file that holds it.
     *
     * @param pageSizeBytes that of the block where it came from; {@code null} in records of daemons without postcopy
     */
    record Block(
            String name,
            String file,
            long lengthBytes,
            @Nullable Integer pageSizeBytes) {}

    static ParkedRecord empty() {
        return new ParkedRecord(VERSION, EMPTY, null, 4096, null, "paused", List.of(), List.of());
    }

    ParkedRecord with(String newState) {
        return new ParkedRecord(version, newState, machineType, targetPageSizeBytes, uuid, runState, blocks, devices);
    }

    static ParkedRecord read(Path directory) throws IOException {
        ParkedRecord record = JSON.readValue(directory.resolve(FILE).toFile(), ParkedRecord.class);
        if (record.version != VERSION) {
            throw new IOException("%s has version %d, this daemon knows %d"
                    .formatted(directory.resolve(FILE), record.version, VERSION));
        }
        return record;
    }

    /** Durable when it returns. */
    void write(Path directory) throws IOException {
        Path fresh = directory.resolve(FILE + ".new");
        try (FileChannel out = FileChannel.open(
                fresh, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING, StandardOpenOption.WRITE)) {
            ByteBuffer bytes = ByteBuffer.wrap(JSON.writeValueAsBytes(this));
            while (bytes.hasRemaining()) {
                out.write(bytes);
            }
            out.force(true);
        }
        Files.move(fresh, directory.resolve(FILE), StandardCopyOption.ATOMIC_MOVE);
        syncDirectory(directory);
    }

    static void syncDirectory(Path directory) throws IOException {
        try (FileChannel handle = FileChannel.open(directory, StandardOpenOption.READ)) {
            handle.force(true);
        }
    }
}
