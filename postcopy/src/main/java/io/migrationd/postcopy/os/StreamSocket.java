package io.migrationd.postcopy.os;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static java.lang.foreign.ValueLayout.JAVA_SHORT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.charset.StandardCharsets;
import java.util.Optional;

/**
 * recv(2), send(2), shutdown(2) and getpeername(2) on a connected stream socket that stays its owner's. None waits. Any
 * thread.
 */
public final class StreamSocket {
    /** Nothing to read, or no room to write: poll(2) tells when there is. */
    public static final long NOT_READY = -1;

    private static final int MSG_DONTWAIT = 0x40;
    private static final int MSG_NOSIGNAL = 0x4000;
    private static final NativeFunction RECV =
            NativeFunction.of("recv", JAVA_LONG, JAVA_INT, NativeFunction.WORD, NativeFunction.WORD, JAVA_INT);
    private static final NativeFunction SEND =
            NativeFunction.of("send", JAVA_LONG, JAVA_INT, NativeFunction.WORD, NativeFunction.WORD, JAVA_INT);

    private static final int SHUT_RDWR = 2;
    private static final NativeFunction SHUTDOWN = NativeFunction.of("shutdown", JAVA_INT, JAVA_INT, JAVA_INT);

    private static final NativeFunction GETPEERNAME =
            NativeFunction.of("getpeername", JAVA_INT, JAVA_INT, NativeFunction.WORD, NativeFunction.WORD);
    private static final NativeFunction GETSOCKNAME =
            NativeFunction.of("getsockname", JAVA_INT, JAVA_INT, NativeFunction.WORD, NativeFunction.WORD);
    private static final int AF_UNIX = 1;
    /** struct sockaddr_un: a family of two bytes and a path of up to 108. */
    private static final int ADDRESS_BYTES = 110;

    private static final int PATH_OFFSET = 2;

    private StreamSocket() {}

    /** Bytes that came; 0 when the peer has ended its side, {@link #NOT_READY} when nothing is there. */
    public static long receive(int fd, MemorySegment buffer) throws ErrnoException {
        return answer(
                "recv", fd, RECV.call(fd, Libc.address(buffer, 0, buffer.byteSize()), buffer.byteSize(), MSG_DONTWAIT));
    }

    /** Bytes that the socket took, fewer than asked for when it fills; {@link #NOT_READY} when it is full. */
    public static long send(int fd, MemorySegment buffer, long offset, long lengthBytes) throws ErrnoException {
        return answer(
                "send",
                fd,
                SEND.call(fd, Libc.address(buffer, offset, lengthBytes), lengthBytes, MSG_DONTWAIT | MSG_NOSIGNAL));
    }

    /** Ends both directions. One that the peer has ended already is left as it is. */
    public static void shutdown(int fd) throws ErrnoException {
        long result = SHUTDOWN.call(fd, SHUT_RDWR);
        if (result < 0 && result != -Errno.ENOTCONN) {
            throw Libc.failure("shutdown", result, "fd=" + fd);
        }
    }

    /** The path that the peer of a Unix socket is bound to; empty for other sockets and for peers without one. */
    public static Optional<String> peerPath(int fd) throws ErrnoException {
        return path(GETPEERNAME, "getpeername", fd);
    }

    /** The path that a Unix socket is bound to, or was accepted at; empty for other sockets and without one. */
    public static Optional<String> ownPath(int fd) throws ErrnoException {
        return path(GETSOCKNAME, "getsockname", fd);
    }

    private static Optional<String> path(NativeFunction function, String call, int fd) throws ErrnoException {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment address = arena.allocate(ADDRESS_BYTES, Integer.BYTES);
            MemorySegment length = arena.allocateFrom(JAVA_INT, ADDRESS_BYTES);
            long result = function.call(fd, address.address(), length.address());
            if (result == -Errno.ENOTCONN) {
                return Optional.empty();
            }
            if (result < 0) {
                throw Libc.failure(call, result, "fd=" + fd);
            }
            int end = Math.min(length.get(JAVA_INT, 0), ADDRESS_BYTES);
            // A name in the abstract namespace begins with a zero byte.
            if (address.get(JAVA_SHORT, 0) != AF_UNIX
                    || end <= PATH_OFFSET
                    || address.get(JAVA_BYTE, PATH_OFFSET) == 0) {
                return Optional.empty();
            }
            byte[] path = address.asSlice(PATH_OFFSET, end - PATH_OFFSET).toArray(JAVA_BYTE);
            return Optional.of(new String(path, StandardCharsets.UTF_8).replaceFirst("\u0000.*", ""));
        }
    }

    private static long answer(String call, int fd, long result) throws ErrnoException {
        if (result == -Errno.EAGAIN) {
            return NOT_READY;
        }
        if (result < 0) {
            throw Libc.failure(call, result, "fd=" + fd);
        }
        return result;
    }
}
