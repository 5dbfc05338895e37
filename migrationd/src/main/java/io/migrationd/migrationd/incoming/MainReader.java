package io.migrationd.migrationd.incoming;

import io.migrationd.migrationd.incoming.PostcopyPages.PageCounts;
import io.migrationd.migrationd.incoming.PostcopyReception.Sections;
import io.migrationd.postcopy.IncomingBlock;
import io.migrationd.postcopy.IncomingMemory;
import io.migrationd.protocol.ram.RamSectionDecoder;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.SectionFooter;
import io.migrationd.protocol.stream.StreamElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.returnpath.ReceivedPages;
import io.migrationd.returnpath.ReturnPathSender;
import java.io.EOFException;
import java.io.IOException;

/** Reads the source's main connection from LISTEN, or from a recovery's first command, on. One thread at a time. */
final class MainReader {
    private final IncomingMemory memory;
    private final ReturnPathSender returnPath;
    private final Sections sections;
    private final PageCounts counts;
    private final Session session;

    /** What commands change beyond the connection. */
    interface Session {
        /** Whether pages may come. */
        boolean isActive();

        /** The source has said something valid. */
        void spoke();

        /** RESUME. */
        void resume(long at) throws IOException;
    }

    MainReader(
            IncomingMemory memory, ReturnPathSender returnPath, Sections sections, PageCounts counts, Session session) {
        this.memory = memory;
        this.returnPath = returnPath;
        this.sections = sections;
        this.counts = counts;
        this.session = session;
    }

    /** Reads until the source says that nothing more comes. Blocks. */
    void readToEnd(Connection connection, SourceWatch watch) throws IOException {
        StreamReader in = connection.in();
        PostcopyPages pages = new PostcopyPages(memory, sections.pageSizeBytes(), counts);
        RamSectionDecoder<IncomingBlock> decoder = new RamSectionDecoder<>(sections.pageSizeBytes(), false, pages);
        decoder.postcopyBegins();
        while (true) {
            if (in.atEnd()) {
                throw new EOFException("the source closed the connection");
            }
            StreamElement element = StreamElementCodec.read(in);
            switch (element) {
                case StreamElement.Part(long at, int id) -> readRam(in, decoder, pages, at, id);
                case StreamElement.End(long at, int id) -> readRam(in, decoder, pages, at, id);
                case StreamElement.CommandElement(long at, Command command) -> execute(command, at, watch);
                case StreamElement.EndOfStream(long at) -> {
                    return;
                }
                default ->
                    throw new ProtocolException(
                            "section",
                            in.offset(),
                            "parts of ram in postcopy",
                            element.getClass().getSimpleName());
            }
        }
    }

    private void readRam(
            StreamReader in, RamSectionDecoder<IncomingBlock> decoder, PostcopyPages pages, long at, int id)
            throws IOException {
        SectionTable table = sections.table();
        if (table != null && !table.require(at, id).idstr().equals("ram")) {
            throw new ProtocolException(
                    "section",
                    at,
                    "parts of ram in postcopy",
                    table.require(at, id).idstr());
        }
        requireActive(at);
        decoder.decodeBody(in);
        pages.requireWholePages(in.offset());
        if (sections.footers().isPresent() ? sections.footers().get() : SectionFooter.isNext(in)) {
            SectionFooter.read(in, id, "ram");
        }
    }

    private void requireActive(long at) throws ProtocolException {
        if (!session.isActive()) {
            throw new ProtocolException("section", at, "POSTCOPY_RESUME before pages", "a section");
        }
    }

    private void execute(Command command, long at, SourceWatch watch) throws IOException {
        switch (command) {
            case Command.Ping(int value) -> {
                watch.ping(value);
                returnPath.sendPong(value);
            }
            case Command.RecvBitmap(String name) -> {
                session.spoke();
                IncomingBlock block = memory.block(name)
                        .orElseThrow(() -> new ProtocolException(
                                "command RECV_BITMAP", at, "an announced block", "'" + name + "'"));
                returnPath.sendReceivedBitmap(
                        name, ReceivedPages.ofWords(block.received().toWords()));
            }
            case Command.PostcopyResume() -> {
                session.spoke();
                session.resume(at);
                watch.askedAgain();
            }
            default ->
                throw new ProtocolException(
                        "command", at, "one of postcopy", command.getClass().getSimpleName());
        }
    }
}
