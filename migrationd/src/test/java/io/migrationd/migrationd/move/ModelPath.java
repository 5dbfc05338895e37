package io.migrationd.migrationd.move;

import java.util.ArrayList;
import java.util.List;

/**
 * The byte path of one attempt: what matters of the bytes that are under way, and which sockets are open.
 *
 * @param sourceOpen the source's relay has its QEMU's connection
 * @param targetOpen the target's relay has (or will make) its QEMU's connection
 * @param cut nothing goes through any more
 */
record ModelPath(boolean sourceOpen, boolean targetOpen, boolean cut, List<Bytes> forward, List<Bytes> reverse) {
    /** Bytes that change a QEMU's state. */
    enum Bytes {
        /** The stream has begun. */
        HEAD,
        /** The rest of precopy. */
        END,
        PACKAGE,
        /** All pages and EOF of postcopy. */
        EOF,
        RECV_BITMAP,
        POSTCOPY_RESUME,
        RESUME_ACK,
        SHUT
    }

    static final ModelPath CLOSED = new ModelPath(false, false, true, List.of(), List.of());

    ModelPath openTarget() {
        return new ModelPath(false, true, false, List.of(), List.of());
    }

    ModelPath openSource() {
        return cut || !targetOpen || sourceOpen ? closeSource() : new ModelPath(true, true, false, forward, reverse);
    }

    ModelPath closeSource() {
        return new ModelPath(false, targetOpen, true, List.of(), List.of());
    }

    ModelPath closeTarget() {
        return new ModelPath(sourceOpen, false, true, List.of(), List.of());
    }

    ModelPath cutNow() {
        return new ModelPath(sourceOpen, targetOpen, true, List.of(), List.of());
    }

    ModelPath send(Bytes bytes) {
        return cut ? this : new ModelPath(sourceOpen, targetOpen, false, append(forward, bytes), reverse);
    }

    ModelPath answer(Bytes bytes) {
        return cut ? this : new ModelPath(sourceOpen, targetOpen, false, forward, append(reverse, bytes));
    }

    ModelPath takeForward() {
        return new ModelPath(sourceOpen, targetOpen, cut, forward.subList(1, forward.size()), reverse);
    }

    ModelPath takeReverse() {
        return new ModelPath(sourceOpen, targetOpen, cut, forward, reverse.subList(1, reverse.size()));
    }

    private static <T> List<T> append(List<T> list, T last) {
        List<T> longer = new ArrayList<>(list);
        longer.add(last);
        return List.copyOf(longer);
    }
}
