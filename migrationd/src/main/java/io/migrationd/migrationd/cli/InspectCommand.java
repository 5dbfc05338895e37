package io.migrationd.migrationd.cli;

import io.migrationd.protocol.inspect.InspectInput;
import io.migrationd.protocol.inspect.InspectItem;
import io.migrationd.protocol.inspect.InspectOptions;
import io.migrationd.protocol.inspect.InspectResult;
import io.migrationd.protocol.inspect.InspectResult.Fault;
import io.migrationd.protocol.inspect.InspectSink;
import io.migrationd.protocol.inspect.ItemJson;
import io.migrationd.protocol.inspect.ItemText;
import io.migrationd.protocol.inspect.StreamInspector;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Objects;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.Callable;
import java.util.zip.GZIPInputStream;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** Prints a captured stream section by section. */
@Command(
        name = "inspect",
        description = {
            "Prints a captured stream section by section, up to its end or its first fault.",
            "Takes main channels, files with or without mapped-ram, multifd and preempt channels, and return paths."
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:the capture is fine to its last byte", "1:it has a fault, or cannot be read", "2:wrong usage"
        })
public final class InspectCommand implements Callable<Integer> {
    private static final int DONE = 0;
    private static final int FAILED = 1;
    private static final int GZIP_MAGIC = 0x1f8b;

    @Parameters(paramLabel = "FILE", description = "The capture, as it is or compressed by gzip; - is standard input.")
    private String file = "";

    @Option(names = "--offset", paramLabel = "BYTES", description = "Where the stream starts in the file.")
    private @Nullable Long offset;

    @Option(
            names = "--page-size",
            paramLabel = "BYTES",
            description = "Guest page size, where the capture does not say it. Default: 4096.")
    private @Nullable Integer pageSize;

    @Option(names = "--sections-only", description = "Leave out what sections, packages and checkpoints contain.")
    private boolean sectionsOnly;

    @Option(names = "--return-path", description = "The capture is a return path, destination to source.")
    private boolean returnPath;

    @Option(names = "--json", description = "Print one JSON object per line.")
    private boolean json;

    @Spec
    private @Nullable CommandSpec spec;

    @Override
    public Integer call() {
        checkOptions();
        PrintWriter out = Objects.requireNonNull(spec).commandLine().getOut();
        try {
            InspectResult result = inspect(out);
            out.println(json ? ItemJson.line(result) : summary(result));
            out.flush();
            return result.fault().map(this::report).orElse(DONE);
        } catch (IOException e) {
            out.flush();
            complain(file + " cannot be read: " + e);
            return FAILED;
        }
    }

    private void checkOptions() {
        if (offset != null && offset < 0) {
            throw wrong("--offset is not negative, got " + offset);
        }
        if (pageSize != null && (Integer.bitCount(pageSize) != 1 || pageSize < 1024 || pageSize > 65536)) {
            throw wrong("--page-size is a power of two from 1024 to 65536, got " + pageSize);
        }
    }

    private ParameterException wrong(String message) {
        return new ParameterException(Objects.requireNonNull(spec).commandLine(), message);
    }

    private InspectResult inspect(PrintWriter out) throws IOException {
        try (Capture capture = Capture.open(file)) {
            if (offset != null && offset > capture.size()) {
                throw wrong("--offset %d is behind the %d bytes of %s".formatted(offset, capture.size(), file));
            }
            InspectSink sink = item -> print(item, out);
            if (returnPath) {
                return ReturnPathInspection.inspect(capture, offset == null ? 0 : offset, sink);
            }
            InspectOptions options = new InspectOptions(
                    offset == null ? OptionalLong.empty() : OptionalLong.of(offset),
                    pageSize == null ? OptionalInt.empty() : OptionalInt.of(pageSize));
            return StreamInspector.inspect(capture, options, sink);
        }
    }

    private void print(InspectItem item, PrintWriter out) throws IOException {
        if (!sectionsOnly || item.depth() == 0) {
            out.println(json ? ItemJson.line(item) : ItemText.line(item));
        }
    }

    private static String summary(InspectResult result) {
        String totals = ItemText.totals(result.totals());
        return result.kind() + (totals.isEmpty() ? "" : ": " + totals);
    }

    private int report(Fault fault) {
        complain(file + ": " + fault.message());
        return FAILED;
    }

    private void complain(String message) {
        PrintWriter err = Objects.requireNonNull(spec).commandLine().getErr();
        err.println("migrationd inspect: " + message);
        err.flush();
    }

    /** A capture as a file that can be read anywhere; what cannot is copied to a temporary one first. */
    private record Capture(FileChannel channel, long size) implements InspectInput, AutoCloseable {
        static Capture open(String file) throws IOException {
            if ("-".equals(file)) {
                return copyOf(unzipped(new BufferedInputStream(System.in)));
            }
            Path path = Path.of(file);
            try (InputStream in = new BufferedInputStream(Files.newInputStream(path))) {
                if (isGzip(in) || !Files.isRegularFile(path)) {
                    return copyOf(unzipped(in));
                }
            }
            return of(FileChannel.open(path));
        }

        private static Capture of(FileChannel channel) throws IOException {
            return new Capture(channel, channel.size());
        }

        private static Capture copyOf(InputStream in) throws IOException {
            Path copy = Files.createTempFile("migrationd-inspect-", ".stream");
            try {
                Files.copy(in, copy, StandardCopyOption.REPLACE_EXISTING);
                // Removed when closed, or when the process ends in any way that lets it.
                return of(FileChannel.open(copy, StandardOpenOption.READ, StandardOpenOption.DELETE_ON_CLOSE));
            } catch (IOException e) {
                Files.deleteIfExists(copy);
                throw e;
            }
        }

        private static InputStream unzipped(InputStream in) throws IOException {
            return isGzip(in) ? new GZIPInputStream(in, 1 << 16) : in;
        }

        private static boolean isGzip(InputStream in) throws IOException {
            in.mark(2);
            int first = in.read();
            int second = in.read();
            in.reset();
            return (first << 8 | second) == GZIP_MAGIC;
        }

        @Override
        public ByteBuffer at(long position, int length) throws IOException {
            ByteBuffer bytes = ByteBuffer.allocate(Math.clamp(size - position, 0, length));
            while (bytes.hasRemaining() && channel.read(bytes, position + bytes.position()) >= 0) {
                // Until all is there, or the file has become shorter.
            }
            return bytes.flip();
        }

        @Override
        public void close() throws IOException {
            channel.close();
        }
    }
}
