package io.migrationd.migrationd.guest.process;

import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Libc;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.FileDescriptorCast;

/**
 * Descriptors that came over a socket; closed with this object unless somebody took them over.
 *
 * <p>The socket library (junixsocket 2.10.1) has room for 60 in one message. It fails the read of a message with more
 * and then leaves those 60 open: a process that may connect to the guest socket can use up our descriptors that way.
 */
final class ReceivedDescriptors implements AutoCloseable {
    private final List<Descriptor> open = new ArrayList<>();

    /**
     * Collects what came with the last read.
     *
     * <p>The socket keeps a list of what it received and closes it with itself, and its descriptors are not
     * close-on-exec: we take duplicates of our own and close the socket's at once.
     */
    void collect(AFUNIXSocket socket, long offset) throws IOException {
        FileDescriptor[] received = socket.getReceivedFileDescriptors();
        if (received == null) {
            return;
        }
        try {
            for (FileDescriptor descriptor : received) {
                adopt(descriptor);
            }
        } finally {
            for (FileDescriptor descriptor : received) {
                if (descriptor.valid()) {
                    new FileOutputStream(descriptor).close();
                }
            }
        }
        if (open.size() > GuestProtocol.MAX_DESCRIPTORS) {
            throw new ProtocolException("descriptors", offset, "at most " + GuestProtocol.MAX_DESCRIPTORS, open.size());
        }
    }

    private void adopt(FileDescriptor received) throws IOException {
        int number = FileDescriptorCast.using(received).as(Integer.class);
        open.add(new Descriptor(Libc.dup(number)));
    }

    int size() {
        return open.size();
    }

    /** One of them, still ours. */
    Descriptor get(int index) {
        return open.get(index);
    }

    /** A duplicate that belongs to the caller: several regions may lie in one memfd. */
    Descriptor duplicate(int index) throws IOException {
        return new Descriptor(Libc.dup(open.get(index).number()));
    }

    @Override
    public void close() {
        open.forEach(Descriptor::close);
        open.clear();
    }
}
