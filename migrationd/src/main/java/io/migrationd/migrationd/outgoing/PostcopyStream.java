package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.link.SendBuffer;
import io.migrationd.migrationd.link.StreamOutput;
import io.migrationd.migrationd.session.StreamPings;
import io.migrationd.migrationd.state.SavingHandler;
import io.migrationd.protocol.ram.RamRecordWriter;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.Command.Range;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Writes what the main channel carries from the switch to postcopy on: discards, the package, PARTs, the end, and the
 * commands of a recovery. One thread. Wire source: QEMU 10.0 migration/savevm.c, qemu_savevm_send_postcopy_*.
 */
final class PostcopyStream {
    private static final Logger log = LoggerFactory.getLogger(PostcopyStream.class);

    /** Ranges of one command, as many as QEMU sends. Wire source: migration/ram.c, MAX_DISCARDS_PER_COMMAND. */
    static final int RANGES_PER_DISCARD = 12;

    /** Type, number, length, value. */
    static final int PING_BYTES = 1 + 2 + 2 + 4;

    private final StreamOutput out;
    private final int ramSectionId;

    PostcopyStream(StreamOutput out, int ramSectionId) {
        this.out = out;
        this.ramSectionId = ramSectionId;
    }

    /** Bytes written so far. */
    long position() {
        return out.position();
    }

    /** Tells the destination to drop every page that is to come again: all that are dirty. */
    void discards(DirtyPages pages, int pageSizeBytes) throws IOException {
        PageRun run = new PageRun();
        List<Range> ranges = new ArrayList<>(RANGES_PER_DISCARD);
        for (SourceBlock block : pages.blocks()) {
            for (long page = 0; pages.find(block, page, run); page = run.to()) {
                ranges.add(new Range(run.from() * pageSizeBytes, run.pageCount() * pageSizeBytes));
                if (ranges.size() == RANGES_PER_DISCARD) {
                    discard(block, ranges);
                }
            }
            if (!ranges.isEmpty()) {
                discard(block, ranges);
            }
        }
    }

    private void discard(SourceBlock block, List<Range> ranges) throws IOException {
        command(new Command.PostcopyRamDiscard(block.ram.name(), ranges));
        ranges.clear();
    }

    /** What the destination reads whole before it starts on it: the devices, and the word to run. */
    static byte[] packageOf(List<DeviceSection> devices) {
        WireWriter blob = new WireWriter();
        StreamElementCodec.writeCommand(new Command.PostcopyListen(), blob);
        int id = PrecopyStream.RAM_SECTION_ID;
        for (DeviceSection device : devices) {
            PrecopyStream.writeDevice(++id, device, blob);
        }
        StreamElementCodec.writeCommand(new Command.Ping(StreamPings.DEVICES), blob);
        StreamElementCodec.writeCommand(new Command.Ping(StreamPings.PACKAGE_LOADED), blob);
        StreamElementCodec.writeCommand(new Command.PostcopyRun(), blob);
        return blob.toByteArray();
    }

    /** Everything of the package but its last byte, without which the destination does nothing. Drained on return. */
    void packageWithoutLastByte(byte[] blob) throws IOException {
        command(new Command.Packaged(blob.length));
        out.write(blob, blob.length - 1);
        out.drain();
    }

    /** That byte. Drained on return. */
    void lastByteOfPackage(byte[] blob) throws IOException {
        WireWriter last = new WireWriter();
        last.writeU8(Byte.toUnsignedInt(blob[blob.length - 1]));
        StreamElementCodec.writeCommand(new Command.Ping(StreamPings.LISTENING), last);
        out.write(last);
        out.drain();
    }

    void ping(int value) throws IOException {
        command(new Command.Ping(value));
        out.flush();
    }

    /** SHUT has come. Who does not hear of this goes on answering; it is no failure of ours. */
    void shutHeard() {
        try {
            command(new Command.Ping(StreamPings.SHUT_HEARD));
            out.drain();
        } catch (IOException e) {
            log.atDebug().setCause(e).log("the destination does not know that we have heard its end");
        }
    }

    /** Asks which pages of the block have arrived. */
    void askForBitmap(SourceBlock block) throws IOException {
        command(new Command.RecvBitmap(block.ram.name()));
    }

    void resume() throws IOException {
        command(new Command.PostcopyResume());
        out.flush();
    }

    void beginPart() throws IOException {
        WireWriter head = new WireWriter();
        StreamElementCodec.writePart(ramSectionId, head);
        out.write(head);
    }

    void endPart() throws IOException {
        SendBuffer buffer = out.room(Long.BYTES);
        out.advance(buffer, RamRecordWriter.endOfSection(buffer.segment(), buffer.limit()));
        footer();
        out.flush();
    }

    /** RAM's last section: nothing is left. */
    void ramEnd(SavingHandler ram) throws IOException {
        WireWriter head = new WireWriter();
        StreamElementCodec.writeEnd(ramSectionId, head);
        out.write(head);
        ram.completePostcopy(out);
        footer();
        out.flush();
    }

    /** The last byte. No description follows in postcopy. Drained on return. */
    void end() throws IOException {
        WireWriter end = new WireWriter();
        StreamElementCodec.writeEndOfStream(end);
        out.write(end);
        out.drain();
    }

    private void command(Command command) throws IOException {
        WireWriter bytes = new WireWriter();
        StreamElementCodec.writeCommand(command, bytes);
        out.write(bytes);
    }

    private void footer() throws IOException {
        WireWriter footer = new WireWriter();
        SectionFooter.write(ramSectionId, footer);
        out.write(footer);
    }
}
