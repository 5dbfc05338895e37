package io.migrationd.migrationd.guest.process;

import io.migrationd.migrationd.guest.process.GuestHello.Region;
import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.GuestRange;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Errno;
import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Libc;
import io.migrationd.postcopy.os.Userfaultfd;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * The memory that a VMM has handed over: its blocks, where they lie in the VMM, and the userfaultfd. Owner of all of
 * its descriptors.
 */
final class GuestMemory implements AutoCloseable {
    private static final Logger log = LoggerFactory.getLogger(GuestMemory.class);
    private static final String USERFAULTFD = "anon_inode:[userfaultfd]";

    private static final String FLAGS_KEY = "flags:";
    private static final int OCTAL = 8;

    private final List<Place> places;
    private final List<FdRamBlock> blocks;
    private final List<GuestRange> ranges;
    private final Userfaultfd userfaultfd;

    private GuestMemory(List<Place> places, List<FdRamBlock> blocks, List<GuestRange> ranges, Userfaultfd userfaultfd) {
        this.places = places;
        this.blocks = blocks;
        this.ranges = ranges;
        this.userfaultfd = userfaultfd;
    }

    /** Which bytes of which file a region is. Two hellos of one guest must agree in these. */
    private record Place(Region region, Map<String, Object> file) {}

    /**
     * Checks the regions against the descriptors and each other. Takes duplicates: {@code received} stays the caller's.
     *
     * @param offset of the hello in the connection
     */
    static GuestMemory of(GuestHello hello, ReceivedDescriptors received, long offset) throws IOException {
        if (received.size() != hello.descriptorCount()) {
            throw new ProtocolException(
                    "descriptors", offset, hello.descriptorCount() + " with the message", received.size());
        }
        requireUserfaultfd(received.get(0), offset);
        for (int i = 1; i < received.size(); i++) {
            requireSealed(received.get(i), i, offset);
        }
        List<Place> places = new ArrayList<>();
        for (Region region : hello.regions()) {
            places.add(place(region, received.get(region.descriptorIndex()), places.size(), offset));
        }
        requireAllUsed(hello, offset);
        requireDistinct(places, offset);
        return adopt(places, received);
    }

    private static void requireUserfaultfd(Descriptor first, long offset) throws IOException {
        String target = Files.readSymbolicLink(proc(first)).toString();
        if (!target.equals(USERFAULTFD)) {
            throw new ProtocolException("descriptors[0]", offset, "a userfaultfd", target);
        }
    }

    /** Only a memfd can be sealed; nothing else can be passed off as guest memory, least of all a file that blocks. */
    private static void requireSealed(Descriptor memory, int index, long offset) throws IOException {
        String field = "descriptors[%d]".formatted(index);
        String expected = "a memfd with F_SEAL_SHRINK";
        int seals;
        try {
            seals = Libc.seals(memory.number());
        } catch (ErrnoException e) {
            throw new ProtocolException(field, offset, expected, "a file that cannot be sealed", e);
        }
        if ((seals & Libc.F_SEAL_SHRINK) == 0) {
            throw new ProtocolException(field, offset, expected, "seals " + seals);
        }
    }

    private static Place place(Region region, Descriptor memory, int index, long offset) throws IOException {
        String field = "message.regions[%d]".formatted(index);
        long sizeBytes = Libc.fstat(memory.number()).sizeBytes();
        if (region.lengthBytes() > sizeBytes - region.offset()) {
            throw new ProtocolException(
                    field + ".length",
                    offset,
                    "at most the %d bytes of the memfd behind offset %d".formatted(sizeBytes, region.offset()),
                    region.lengthBytes());
        }
        long pageSize = Libc.fstat(memory.number()).blockBytes();
        if (region.pageSizeBytes() != pageSize) {
            throw new ProtocolException(
                    field + ".page-size", offset, "the memfd's page size of " + pageSize, region.pageSizeBytes());
        }
        Map<String, Object> file = Files.readAttributes(proc(memory), "unix:dev,ino");
        return new Place(region, file);
    }

    private static void requireAllUsed(GuestHello hello, long offset) throws ProtocolException {
        Set<Integer> used = new HashSet<>();
        hello.regions().forEach(region -> used.add(region.descriptorIndex()));
        if (used.size() != hello.descriptorCount() - 1) {
            throw new ProtocolException(
                    "descriptors",
                    offset,
                    "every memfd in a region",
                    "%d of %d".formatted(used.size(), hello.descriptorCount() - 1));
        }
    }

    private static void requireDistinct(List<Place> places, long offset) throws ProtocolException {
        Set<String> names = new HashSet<>();
        long sumBytes = 0;
        for (int i = 0; i < places.size(); i++) {
            Place place = places.get(i);
            String field = "message.regions[%d]".formatted(i);
            if (!names.add(place.region().name())) {
                throw new ProtocolException(
                        field + ".name",
                        offset,
                        "a name of its own",
                        place.region().name());
            }
            sumBytes += place.region().lengthBytes();
            for (Place other : places.subList(0, i)) {
                requireApart(place, other, field, offset);
            }
        }
        if (sumBytes > GuestProtocol.MAX_RAM_BYTES) {
            throw new ProtocolException(
                    "message.regions", offset, "at most " + GuestProtocol.MAX_RAM_BYTES + " bytes of RAM", sumBytes);
        }
    }

    private static void requireApart(Place place, Place other, String field, long offset) throws ProtocolException {
        Region a = place.region();
        Region b = other.region();
        boolean sameFile = place.file().equals(other.file());
        if (sameFile && overlap(a.offset(), b.offset(), a, b)) {
            throw new ProtocolException(
                    field + ".offset", offset, "bytes of its own in the memfd", "those of " + b.name());
        }
        if (overlap(a.hostVirtual(), b.hostVirtual(), a, b)) {
            throw new ProtocolException(field + ".host-virtual", offset, "a range of its own", "that of " + b.name());
        }
        if (overlap(a.guestPhysical(), b.guestPhysical(), a, b)) {
            throw new ProtocolException(field + ".guest-physical", offset, "a range of its own", "that of " + b.name());
        }
    }

    private static boolean overlap(long startA, long startB, Region a, Region b) {
        return startA < startB + b.lengthBytes() && startB < startA + a.lengthBytes();
    }

    private static GuestMemory adopt(List<Place> places, ReceivedDescriptors received) throws IOException {
        List<FdRamBlock> blocks = new ArrayList<>();
        List<GuestRange> ranges = new ArrayList<>();
        try {
            for (Place place : places) {
                Region region = place.region();
                Descriptor memory = received.duplicate(region.descriptorIndex());
                blocks.add(FdRamBlock.adopt(region.name(), memory, region.offset(), region.lengthBytes()));
                ranges.add(new GuestRange(region.name(), region.hostVirtual(), region.lengthBytes()));
            }
            Userfaultfd userfaultfd = Userfaultfd.adopt(received.duplicate(0));
            return new GuestMemory(places, List.copyOf(blocks), List.copyOf(ranges), userfaultfd);
        } catch (IOException | RuntimeException e) {
            blocks.forEach(FdRamBlock::close);
            throw e;
        }
    }

    private static Path proc(Descriptor descriptor) {
        return Path.of("/proc/self/fd/" + descriptor.number());
    }

    List<RamBlock> blocks() {
        return List.copyOf(blocks);
    }

    /** Where the blocks lie in the VMM. */
    List<GuestRange> ranges() {
        return ranges;
    }

    /** The userfaultfd and every region's memfd, all still ours. */
    List<Integer> descriptors() {
        List<Integer> numbers = new ArrayList<>();
        numbers.add(userfaultfd.fd());
        blocks.forEach(block -> numbers.add(block.fd()));
        return numbers;
    }

    /** The VMM's userfaultfd; it stays ours. */
    Userfaultfd userfaultfd() {
        return userfaultfd;
    }

    /** Whether a read of the userfaultfd returns when there is nothing; poll(2) works only then (userfaultfd(2)). */
    boolean hasNonBlockingUserfaultfd() throws IOException {
        Path info = Path.of("/proc/self/fdinfo/" + userfaultfd.fd());
        for (String line : Files.readAllLines(info)) {
            if (line.startsWith(FLAGS_KEY)) {
                return (Integer.parseInt(line.substring(FLAGS_KEY.length()).trim(), OCTAL) & Libc.O_NONBLOCK) != 0;
            }
        }
        throw new IOException(info + " has no line " + FLAGS_KEY);
    }

    /**
     * Missing pages no longer fault, as if there had never been a postcopy. Writes are tracked again. The guest must
     * not run: in between they are not.
     */
    void forgetMissing() throws ErrnoException {
        try {
            for (GuestRange range : ranges) {
                // Registering for less than before changes nothing (fs/userfaultfd.c, userfaultfd_register).
                userfaultfd.unregister(range.hostVirtual(), range.lengthBytes());
                userfaultfd.register(range.hostVirtual(), range.lengthBytes(), Userfaultfd.REGISTER_WP);
            }
        } catch (ErrnoException e) {
            if (e.errno() != Errno.ESRCH) {
                throw e;
            }
            log.atDebug().setCause(e).log("the process has ended: nobody can fault any more");
        }
    }

    /** Whether the other one is the same bytes of the same files at the same addresses. */
    boolean isSameAs(GuestMemory other) {
        return places.equals(other.places);
    }

    @Override
    public void close() {
        blocks.forEach(FdRamBlock::close);
        userfaultfd.close();
    }
}
