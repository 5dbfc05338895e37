package io.migrationd.protocol.inspect;

import io.migrationd.protocol.inspect.GuestRam.Block;
import io.migrationd.protocol.stream.Command;
import io.migrationd.protocol.stream.Command.EnableColo;
import io.migrationd.protocol.stream.Command.OpenReturnPath;
import io.migrationd.protocol.stream.Command.Packaged;
import io.migrationd.protocol.stream.Command.PageSizes;
import io.migrationd.protocol.stream.Command.Ping;
import io.migrationd.protocol.stream.Command.PostcopyAdvise;
import io.migrationd.protocol.stream.Command.PostcopyListen;
import io.migrationd.protocol.stream.Command.PostcopyRamDiscard;
import io.migrationd.protocol.stream.Command.PostcopyResume;
import io.migrationd.protocol.stream.Command.PostcopyRun;
import io.migrationd.protocol.stream.Command.Range;
import io.migrationd.protocol.stream.Command.RecvBitmap;
import io.migrationd.protocol.stream.Command.SwitchoverStart;
import io.migrationd.protocol.stream.IncomingPostcopyState;
import io.migrationd.protocol.stream.IncomingPostcopyState.Event;
import io.migrationd.protocol.stream.Printable;
import io.migrationd.protocol.wire.ProtocolException;
import java.io.IOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;

/** When a command is legal, as far as the stream alone can tell. */
final class CommandRules {
    private final GuestRam ram;
    private final Trace trace;
    private IncomingPostcopyState postcopy = IncomingPostcopyState.NONE;
    private boolean returnPath;
    private boolean colo;
    private boolean resumed;
    private boolean inPackage;

    CommandRules(GuestRam ram, Trace trace) {
        this.ram = ram;
        this.trace = trace;
    }

    /** The connection goes on with a postcopy migration that runs, return path included. */
    void resume() {
        resumed = true;
        returnPath = true;
        postcopy = IncomingPostcopyState.RUNNING;
    }

    boolean isResumed() {
        return resumed;
    }

    boolean isPostcopy() {
        return postcopy == IncomingPostcopyState.LISTENING || postcopy == IncomingPostcopyState.RUNNING;
    }

    boolean isColo() {
        return colo;
    }

    boolean isInPackage() {
        return inPackage;
    }

    void enterPackage() {
        inPackage = true;
    }

    void leavePackage() {
        inPackage = false;
    }

    static String name(Command command) {
        return switch (command) {
            case OpenReturnPath() -> "OPEN_RETURN_PATH";
            case Ping(var _) -> "PING";
            case PostcopyAdvise(var _) -> "POSTCOPY_ADVISE";
            case PostcopyListen() -> "POSTCOPY_LISTEN";
            case PostcopyRun() -> "POSTCOPY_RUN";
            case PostcopyRamDiscard(var _, var _) -> "POSTCOPY_RAM_DISCARD";
            case Packaged(var _) -> "PACKAGED";
            case EnableColo() -> "ENABLE_COLO";
            case PostcopyResume() -> "POSTCOPY_RESUME";
            case RecvBitmap(var _) -> "RECV_BITMAP";
            case SwitchoverStart() -> "SWITCHOVER_START";
        };
    }

    static Map<String, Object> details(Command command) {
        Map<String, Object> details = new LinkedHashMap<>();
        details.put("command", name(command));
        switch (command) {
            case Ping(int value) -> details.put("value", "0x" + Integer.toHexString(value));
            case PostcopyAdvise(Optional<PageSizes> sizes) ->
                sizes.ifPresent(it -> {
                    details.put("host_page_sizes", "0x" + Long.toHexString(it.hostPageSizeSummary()));
                    details.put("page_size", it.targetPageSize());
                });
            case PostcopyRamDiscard discard -> {
                details.put("block", discard.block());
                details.put("ranges", discard.ranges().size());
                details.put(
                        "discarded_bytes",
                        discard.ranges().stream().mapToLong(Range::length).sum());
            }
            case Packaged(long size) -> details.put("bytes", size);
            case RecvBitmap(String block) -> details.put("block", block);
            default -> {
                // No payload.
            }
        }
        return details;
    }

    /** Checks {@code command} against what came before, and remembers what it changes. */
    void check(long offset, Command command) throws IOException {
        switch (command) {
            case OpenReturnPath() -> openReturnPath(offset);
            case Ping(var _) -> require(returnPath, offset, "an open return path before PING", "none");
            case PostcopyAdvise(Optional<PageSizes> sizes) -> advise(offset, sizes);
            case PostcopyListen() -> postcopy = postcopy.nextOnCommand(Event.LISTEN, offset);
            case PostcopyRun() -> postcopy = postcopy.nextOnCommand(Event.RUN, offset);
            case PostcopyRamDiscard discard -> discard(offset, discard);
            case Packaged(var _) -> require(!inPackage, offset, "no PACKAGED inside a package", "one");
            case EnableColo() -> colo = true;
            case PostcopyResume() -> recoveryOnly(offset, "POSTCOPY_RESUME");
            case RecvBitmap(String block) -> recvBitmap(offset, block);
            case SwitchoverStart() -> {
                // May occur at any time and any number of times.
            }
        }
    }

    private static void require(boolean condition, long offset, String expected, String actual)
            throws ProtocolException {
        if (!condition) {
            throw new ProtocolException("command", offset, expected, actual);
        }
    }

    private void openReturnPath(long offset) throws IOException {
        if (returnPath) {
            trace.note(offset, "the return path is open already");
        }
        returnPath = true;
    }

    private void advise(long offset, Optional<PageSizes> sizes) throws ProtocolException {
        postcopy = postcopy.nextOnCommand(Event.ADVISE, offset);
        if (sizes.isEmpty()) {
            return;
        }
        long pageSize = sizes.get().targetPageSize();
        if (!GuestRam.isPageSize(pageSize) || (ram.pageSizeKnown && pageSize != ram.pageSize)) {
            throw new ProtocolException(
                    "command.postcopy-advise.target-page-size",
                    offset + 13,
                    ram.pageSizeKnown ? Integer.toString(ram.pageSize) : "a power of two from 1024 to 65536",
                    Long.toUnsignedString(pageSize));
        }
        ram.pageSize = (int) pageSize;
        ram.pageSizeKnown = true;
        ram.hostPageSizes = sizes.get().hostPageSizeSummary();
    }

    private void discard(long offset, PostcopyRamDiscard discard) throws ProtocolException {
        postcopy = postcopy.nextOnCommand(Event.DISCARD, offset);
        Block block = knownBlock(offset, discard.block());
        long pageSize = block.pageSize();
        for (Range range : discard.ranges()) {
            if ((range.start() | range.length()) % pageSize != 0 || range.start() + range.length() > block.length()) {
                throw new ProtocolException(
                        "command.postcopy-ram-discard.range",
                        offset,
                        "multiples of 0x%x within the 0x%x bytes of %s"
                                .formatted(pageSize, block.length(), Printable.quote(block.name())),
                        "0x%x bytes from 0x%x on".formatted(range.length(), range.start()));
            }
        }
    }

    private Block knownBlock(long offset, String name) throws ProtocolException {
        Block block = ram.block(name);
        if (block == null) {
            throw new ProtocolException("command.block", offset, "a block of the block list", Printable.quote(name));
        }
        return block;
    }

    private void recvBitmap(long offset, String block) throws IOException {
        knownBlock(offset, block);
        recoveryOnly(offset, "RECV_BITMAP");
    }

    private void recoveryOnly(long offset, String name) throws IOException {
        if (!resumed) {
            trace.note(offset, name + " outside of a recovery is ignored");
        }
    }
}
