package io.migrationd.it.fault;

import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * The reverse direction of a main connection: be16 type, be16 length, payload; behind RECV_BITMAP be64 size, the bits
 * and be64 end mark. Wire source: QEMU 10.0 migration/migration.c, source_return_path_thread.
 */
final class ReturnPathScanner extends ByteScanner {
    private static final int SHUT = 1;
    private static final int PONG = 2;
    private static final int REQ_PAGES_ID = 3;
    private static final int REQ_PAGES = 4;
    private static final int RECV_BITMAP = 5;
    private static final int RESUME_ACK = 6;
    private static final int END_MARK_BYTES = 8;

    ReturnPathScanner(PageTally tally, Consumer<Mark> found) {
        super(tally, found);
        messages();
    }

    private void messages() {
        read(2 * Short.BYTES, this::head);
    }

    private void head(ByteBuffer bytes) {
        int type = Short.toUnsignedInt(bytes.getShort());
        int length = Short.toUnsignedInt(bytes.getShort());
        if (type == SHUT) {
            markAt(Place.BEFORE_SHUT, offset() - 2 * Short.BYTES);
        }
        if (length == 0) {
            messages();
        } else {
            read(length, payload -> message(type, payload));
        }
    }

    private void message(int type, ByteBuffer payload) {
        switch (type) {
            case SHUT -> mark(Place.SHUT);
            case PONG -> pong(payload);
            case REQ_PAGES_ID, REQ_PAGES -> mark(Place.REQUEST);
            case RECV_BITMAP -> {
                read(Long.BYTES, size -> bitmap(size.getLong()));
                return;
            }
            case RESUME_ACK -> mark(Place.RESUME_ACK);
            default -> {
                // No place of ours.
            }
        }
        messages();
    }

    private void pong(ByteBuffer payload) {
        int value = payload.remaining() == Integer.BYTES ? payload.getInt() : 0;
        switch (value) {
            case 1 -> mark(Place.PONG_START);
            case 2 -> mark(Place.PONG_DISCARDED);
            case 0x42 -> mark(Place.PONG_LOADED);
            default -> {
                // Of no interest.
            }
        }
    }

    private void bitmap(long size) {
        if (size < 0) {
            stop();
            return;
        }
        markAt(Place.IN_BITMAP, offset() + size / 2);
        skip(size + END_MARK_BYTES, () -> {
            mark(Place.BITMAP);
            messages();
        });
    }
}
