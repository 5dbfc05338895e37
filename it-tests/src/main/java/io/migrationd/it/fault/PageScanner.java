package io.migrationd.it.fault;

import java.nio.ByteBuffer;
import java.util.function.Consumer;

/**
 * Page records: be64 offset and flags, counted block name unless CONTINUE, payload. Wire source: QEMU 10.0
 * migration/ram.c, RAM_SAVE_FLAG_*, save_page_header.
 */
abstract class PageScanner extends ByteScanner {
    static final int PAGE_BYTES = 4096;

    private static final int ZERO = 0x002;
    private static final int MEM_SIZE = 0x004;
    private static final int PAGE = 0x008;
    private static final int EOS = 0x010;
    private static final int CONTINUE = 0x020;
    private static final int XBZRLE = 0x040;
    private static final int MULTIFD_FLUSH = 0x200;

    private static final int IN_HEADER = 4;
    private static final int IN_PAGE = 1000;

    private long pages;
    private boolean inPageMarked;

    PageScanner(PageTally tally, Consumer<Mark> found) {
        super(tally, found);
    }

    /** Records until an end mark. */
    protected final void records() {
        read(Long.BYTES, this::record);
    }

    /** An end mark was read. */
    protected abstract void bodyEnded();

    /** Whether pages are those of postcopy. */
    protected abstract boolean isPostcopy();

    protected abstract Place firstPage();

    protected abstract Place inPageHeader();

    protected abstract Place inPage();

    private void record(ByteBuffer bytes) {
        long word = bytes.getLong();
        int flags = (int) (word & (PAGE_BYTES - 1));
        boolean sameBlock = (flags & CONTINUE) != 0;
        switch (flags & ~CONTINUE) {
            case EOS -> bodyEnded();
            case MEM_SIZE -> blocks(word - flags);
            case MULTIFD_FLUSH -> records();
            case XBZRLE -> named(sameBlock, () -> read(1 + Short.BYTES, head -> payload(head.getShort(1))));
            case PAGE -> page(sameBlock, PAGE_BYTES);
            case ZERO -> page(sameBlock, 1);
            default -> stop();
        }
    }

    private void page(boolean sameBlock, int payloadBytes) {
        if (!isPostcopy()) {
            named(sameBlock, () -> skip(payloadBytes, this::records));
            return;
        }
        pages++;
        if (pages == 2) {
            markOnce(inPageHeader(), offset() - Long.BYTES + IN_HEADER);
        }
        named(sameBlock, () -> {
            if (pages > 2 && payloadBytes == PAGE_BYTES && !inPageMarked) {
                inPageMarked = true;
                markOnce(inPage(), offset() + IN_PAGE);
            }
            skip(payloadBytes, this::pageEnded);
        });
    }

    private void pageEnded() {
        markOnce(firstPage(), offset());
        long sent = tally().sent();
        long dirty = tally().dirtyPages();
        if (sent == dirty / 2) {
            mark(Place.MIDDLE_PAGE);
        }
        if (sent == dirty - 1) {
            mark(Place.LAST_BUT_ONE_PAGE);
        }
        if (sent == dirty) {
            mark(Place.LAST_PAGE);
        }
        records();
    }

    private void payload(short length) {
        if (length == 0) {
            records();
        } else {
            skip(Short.toUnsignedInt(length), this::records);
        }
    }

    private void named(boolean sameBlock, Runnable then) {
        if (sameBlock) {
            then.run();
        } else {
            read(1, length -> skipName(length, then));
        }
    }

    /** A name of no bytes is no name. */
    protected final void skipName(ByteBuffer length, Runnable then) {
        int bytes = Byte.toUnsignedInt(length.get());
        if (bytes == 0) {
            stop();
        } else {
            skip(bytes, then);
        }
    }

    /** Names and lengths until these add up to the total. Page sizes are not announced where all pages are 4 KiB. */
    private void blocks(long left) {
        if (left <= 0) {
            records();
        } else {
            read(
                    1,
                    length -> skipName(
                            length, () -> read(Long.BYTES, block -> blocks(left - Math.max(1, block.getLong())))));
        }
    }
}
