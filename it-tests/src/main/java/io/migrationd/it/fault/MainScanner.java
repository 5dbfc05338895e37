package io.migrationd.it.fault;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.function.Consumer;

/**
 * The forward direction of a main connection, the first of a migration or one of a recovery. Wire source: QEMU 10.0
 * migration/savevm.c, qemu_savevm_state_*, enum qemu_vm_cmd, vmstate_configuration.
 */
final class MainScanner extends PageScanner {
    private static final int HEADER_BYTES = 8;
    private static final int FOOTER_BYTES = 4;
    private static final int WORD_BYTES = 4;
    private static final int UUID_BYTES = 16;
    private static final int RANGE_BYTES = 16;
    private static final int INSTANCE_AND_VERSION = 8;

    private final boolean recovery;
    private boolean postcopy;
    private int ramId = -1;
    /** What ends with the footer that comes, or would come. */
    private int sectionType;

    private MainScanner(boolean recovery, PageTally tally, Consumer<Mark> found) {
        super(tally, found);
        this.recovery = recovery;
        this.postcopy = recovery;
    }

    /** The first connection of a migration: it begins with the file header. */
    static MainScanner ofFirst(PageTally tally, Consumer<Mark> found) {
        var scanner = new MainScanner(false, tally, found);
        scanner.read(HEADER_BYTES, scanner::header);
        return scanner;
    }

    /** A connection of a recovery: it begins with a command. */
    static MainScanner ofRecovery(PageTally tally, Consumer<Mark> found) {
        var scanner = new MainScanner(true, tally, found);
        scanner.elements();
        return scanner;
    }

    private void header(ByteBuffer bytes) {
        mark(Place.HEADER);
        read(1, type -> {
            if (type.get(0) == 0x07) {
                read(WORD_BYTES, length -> skipOrGoOn(length.getInt(), this::subsections));
            } else {
                element(type);
            }
        });
    }

    private void skipOrGoOn(int count, Runnable then) {
        if (count > 0) {
            skip(count, then);
        } else {
            stop();
        }
    }

    private void subsections() {
        read(1, type -> {
            if (type.get(0) == 0x05) {
                read(1, length -> readName(length, this::subsection));
            } else {
                markAt(Place.CONFIGURATION, offset() - 1);
                element(type);
            }
        });
    }

    private void readName(ByteBuffer length, Consumer<String> then) {
        int bytes = Byte.toUnsignedInt(length.get());
        if (bytes == 0) {
            stop();
        } else {
            read(
                    bytes,
                    name -> then.accept(StandardCharsets.ISO_8859_1.decode(name).toString()));
        }
    }

    private void subsection(String name) {
        skip(WORD_BYTES, () -> {
            switch (name) {
                case "configuration/target-page-bits" -> skip(WORD_BYTES, this::subsections);
                case "configuration/uuid" -> skip(UUID_BYTES, this::subsections);
                case "configuration/capabilities" -> read(WORD_BYTES, count -> capabilities(count.getInt()));
                default -> stop();
            }
        });
    }

    private void capabilities(int left) {
        if (left <= 0) {
            subsections();
        } else {
            read(1, length -> skipName(length, () -> capabilities(left - 1)));
        }
    }

    private void elements() {
        read(1, this::element);
    }

    private void element(ByteBuffer type) {
        int value = type.get(0);
        if (value != 0x7e) {
            sectionEnded(offset() - 1);
        }
        switch (value) {
            case 0x00 -> {
                if (postcopy) {
                    mark(Place.EOF);
                }
                stop();
            }
            case 0x01, 0x04 -> {
                sectionType = value;
                read(WORD_BYTES, id -> read(1, length -> readName(length, name -> started(id.getInt(0), name))));
            }
            case 0x02, 0x03 -> {
                sectionType = value;
                read(WORD_BYTES, id -> continued(id.getInt(0)));
            }
            case 0x08 -> read(2 * Short.BYTES, this::commandHead);
            case 0x7e ->
                skip(FOOTER_BYTES, () -> {
                    sectionEnded(offset());
                    elements();
                });
            default -> stop();
        }
    }

    private void started(int id, String name) {
        if (name.equals("ram")) {
            ramId = id;
            skip(INSTANCE_AND_VERSION, this::records);
        } else {
            // Nobody but the device knows where its section ends.
            stop();
        }
    }

    /** A recovery connection does not say again which section is {@code ram}; there is no other in postcopy. */
    private void continued(int id) {
        if (recovery || id == ramId) {
            records();
        } else {
            stop();
        }
    }

    @Override
    protected void bodyEnded() {
        elements();
    }

    private void sectionEnded(long where) {
        switch (sectionType) {
            case 0x01 -> markAt(Place.RAM_START, where);
            case 0x02 -> {
                if (!postcopy) {
                    markAt(Place.PRECOPY_PART, where);
                }
            }
            case 0x03 -> {
                if (postcopy) {
                    markAt(Place.RAM_END, where);
                }
            }
            default -> {
                // No section of ram.
            }
        }
        sectionType = 0;
    }

    private void commandHead(ByteBuffer bytes) {
        int number = Short.toUnsignedInt(bytes.getShort());
        int length = Short.toUnsignedInt(bytes.getShort());
        if (length == 0) {
            command(number, ByteBuffer.allocate(0));
        } else {
            read(length, payload -> command(number, payload));
        }
    }

    private void command(int number, ByteBuffer payload) {
        switch (number) {
            case 1 -> mark(Place.OPEN_RETURN_PATH);
            case 2 -> ping(payload);
            case 3 -> mark(Place.ADVISE);
            case 6 -> {
                tally().dirty(discardedBytes(payload) / PAGE_BYTES);
                mark(Place.DISCARD);
            }
            case 7 -> {
                packaged(payload);
                return;
            }
            case 9 -> mark(Place.RESUME);
            case 10 -> mark(Place.RECV_BITMAP);
            default -> {
                // No place of ours.
            }
        }
        elements();
    }

    private void ping(ByteBuffer payload) {
        int value = payload.remaining() == WORD_BYTES ? payload.getInt() : 0;
        switch (value) {
            case 1 -> mark(Place.PING_START);
            case 2 -> mark(Place.PING_DISCARDED);
            case 4 -> mark(Place.PING_LISTENING);
            default -> {
                // A heartbeat.
            }
        }
    }

    /** u8 layout, counted name, u8, then be64 start and be64 length of each range. */
    private static long discardedBytes(ByteBuffer payload) {
        long bytes = 0;
        int ranges = payload.remaining() < 2 ? payload.limit() : 1 + 1 + Byte.toUnsignedInt(payload.get(1)) + 1;
        for (int at = ranges; at + RANGE_BYTES <= payload.limit(); at += RANGE_BYTES) {
            bytes += payload.getLong(at + Long.BYTES);
        }
        return bytes;
    }

    private void packaged(ByteBuffer payload) {
        long size = payload.remaining() == WORD_BYTES ? Integer.toUnsignedLong(payload.getInt()) : 0;
        if (size < 2) {
            stop();
            return;
        }
        long start = offset();
        mark(Place.PACKAGED);
        markAt(Place.PACKAGE_MIDDLE, start + size / 2);
        markAt(Place.PACKAGE_BUT_LAST, start + size - 1);
        markAt(Place.PACKAGE, start + size);
        postcopy = true;
        skip(size, this::elements);
    }

    @Override
    protected boolean isPostcopy() {
        return postcopy;
    }

    @Override
    protected Place firstPage() {
        return recovery ? Place.RESUMED_PAGE : Place.FIRST_PAGE;
    }

    @Override
    protected Place inPageHeader() {
        return Place.IN_PAGE_HEADER;
    }

    @Override
    protected Place inPage() {
        return Place.IN_PAGE;
    }
}
