package io.migrationd.migrationd.relay.tap;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.migrationd.protocol.inspect.InspectInput;
import io.migrationd.protocol.inspect.InspectItem;
import io.migrationd.protocol.inspect.InspectOptions;
import io.migrationd.protocol.inspect.InspectResult;
import io.migrationd.protocol.inspect.StreamInspector;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Taps against the inspector, on every captured stream")
class TapFixtureTest {
    /** Streams that a relay's tap cannot follow to the end, and where it says so. */
    private static final Map<String, String> LOST = Map.of(
            "colo-7.2.main.fwd.gz", "COLO",
            "colo-10.0.main.fwd.gz", "COLO",
            "mapped-ram-10.0.bin.gz", "mapped-ram",
            "mapped-ram-multifd-10.0.bin.gz", "mapped-ram",
            "nofooter-noconfig-7.2.bin.gz", "footers");

    private static final Map<Mark, String> COMMANDS = Map.of(
            Mark.OPEN_RETURN_PATH, "OPEN_RETURN_PATH",
            Mark.ADVISE, "POSTCOPY_ADVISE",
            Mark.DISCARD, "POSTCOPY_RAM_DISCARD",
            Mark.PACKAGED, "PACKAGED",
            Mark.LISTEN, "POSTCOPY_LISTEN",
            Mark.PING, "PING",
            Mark.RUN, "POSTCOPY_RUN",
            Mark.SWITCHOVER_START, "SWITCHOVER_START",
            Mark.RECV_BITMAP, "RECV_BITMAP",
            Mark.POSTCOPY_RESUME, "POSTCOPY_RESUME");

    static List<String> mainChannels() {
        return Captures.names(name -> name.endsWith(".bin.gz") || name.endsWith(".main.fwd.gz"));
    }

    static List<String> preemptChannels() {
        return Captures.names(name -> name.endsWith(".preempt.fwd.gz"));
    }

    static List<String> multifdChannels() {
        return Captures.names(name -> name.contains(".multifd"));
    }

    private record Inspected(InspectResult result, List<InspectItem> items) {
        long total(String name) {
            return result.totals().getOrDefault(name, 0L);
        }
    }

    private static Inspected inspect(byte[] bytes) throws IOException {
        List<InspectItem> items = new ArrayList<>();
        return new Inspected(
                StreamInspector.inspect(InspectInput.of(bytes), InspectOptions.DEFAULT, items::add), items);
    }

    /** A stream in a file may begin behind other bytes; a connection does not. */
    private static byte[] stream(String name) {
        byte[] bytes = Captures.read(name);
        if (!name.startsWith("file-offset")) {
            return bytes;
        }
        int start = 0;
        while (ByteBuffer.wrap(bytes).getInt(start) != StreamHeader.MAGIC) {
            start++;
        }
        return Arrays.copyOfRange(bytes, start, bytes.length);
    }

    @ParameterizedTest
    @MethodSource("mainChannels")
    void findsWhatTheInspectorFinds(String name) throws IOException {
        byte[] bytes = stream(name);
        Inspected expected = inspect(bytes);
        MainTap tap = Captures.feed(new MainTap(), bytes, new Random(1), bytes.length);
        TapStatus status = tap.status();
        assertEquals(bytes.length, status.bytes());
        if (LOST.containsKey(name)) {
            assertEquals(TapState.LOST, status.state(), status.toString());
            assertTrue(status.reason().orElseThrow().contains(LOST.get(name)), status.toString());
            assertEquals(bytes.length - status.offset(), status.unparsedBytes());
            if (!name.startsWith("colo")) {
                return;
            }
            // Up to the end of the first stream it has everything; the inspector goes on to the checkpoints.
            expected = inspect(Arrays.copyOf(bytes, (int) status.offset()));
        } else {
            boolean cut = expected.result().fault().isPresent();
            assertEquals(cut ? TapState.PARSING : TapState.ENDED, status.state(), status.toString());
            assertEquals(0, status.unparsedBytes());
        }
        assertEquals(expected.total("page"), tap.pages().full(), "pages");
        assertEquals(expected.total("zero"), tap.pages().zero(), "zero pages");
        assertEquals(expected.total("xbzrle"), tap.pages().xbzrle(), "delta pages");
        assertEquals(expected.total("xbytes"), tap.deltaBytes(), "delta bytes");
        assertEquals(expected.total("compress"), tap.pages().compressed(), "compressed pages");
        assertEquals(expected.total("eos"), tap.endMarks(), "end marks");
        assertEquals(expected.total("mfdflush"), tap.multifdFlushes(), "flushes");
        assertEquals(expected.total("section START"), tap.sections(StreamElementCodec.START), "START");
        assertEquals(expected.total("section PART"), tap.sections(StreamElementCodec.PART), "PART");
        assertEquals(expected.total("section END"), tap.sections(StreamElementCodec.END), "END");
        assertEquals(expected.total("section FULL"), tap.sections(StreamElementCodec.FULL), "FULL");
        for (Map.Entry<Mark, String> command : COMMANDS.entrySet()) {
            assertEquals(expected.total("cmd " + command.getValue()), tap.count(command.getKey()), command.getValue());
        }
        assertEquals(
                expected.items().stream()
                        .filter(item -> item.what().equals("block"))
                        .count(),
                tap.blocks().stream().filter(block -> block.lengthBytes() > 0).count(),
                "blocks");
        expected.items().stream()
                .filter(item -> item.what().equals("EOF"))
                .findFirst()
                .ifPresent(eof -> assertEquals(eof.offset(), tap.first(Mark.EOF).orElseThrow()));
        expected.items().stream()
                .filter(item -> item.what().equals("configuration"))
                .findFirst()
                .ifPresent(item -> assertEquals(
                        item.details().get("machine"),
                        tap.configuration().orElseThrow().machineType()));
        assertEquals(
                tap.pages().minus(tap.postcopyPages()),
                tap.isResumed()
                        ? PageCounts.NONE
                        : tap.passes().stream().map(Pass::pages).reduce(PageCounts.NONE, PageCounts::plus),
                "passes add up");
    }

    @ParameterizedTest
    @MethodSource("mainChannels")
    void cutsMakeNoDifference(String name) {
        byte[] bytes = stream(name);
        String whole = describe(Captures.feed(new MainTap(), bytes, new Random(1), bytes.length));
        assertEquals(whole, describe(Captures.feed(new MainTap(), bytes, new Random(1), 1)), "byte by byte");
        for (int seed = 1; seed <= 4; seed++) {
            int most = seed * seed * 1000;
            String cut = describe(Captures.feed(new MainTap(), bytes, new Random(seed), most));
            assertEquals(whole, cut, "seed " + seed);
        }
    }

    /** All that a tap tells. */
    static String describe(MainTap tap) {
        Map<String, Object> all = new TreeMap<>();
        all.put("status", tap.status());
        all.put("pages", tap.pages());
        all.put("postcopy", tap.postcopyPages());
        all.put("passes", tap.passes());
        all.put("blocks", tap.blocks());
        all.put("bytes", tap.ramBytes());
        all.put("package", tap.packageStart() + " " + tap.packageBytes() + tap.packageTrouble());
        all.put("configuration", tap.configuration());
        for (Mark mark : Mark.values()) {
            all.put("mark " + mark, tap.first(mark) + " " + tap.count(mark));
        }
        all.put("prologue", tap.keeper().prologue().map(Arrays::hashCode));
        all.put("setup", tap.keeper().ramSetup().map(Arrays::hashCode));
        all.put("packaged", tap.keeper().packaged().map(Arrays::hashCode));
        all.put("kept", tap.keeper().notKept());
        return all.toString();
    }

    @ParameterizedTest
    @MethodSource("preemptChannels")
    void preemptChannelsAreCounted(String name) throws IOException {
        byte[] bytes = Captures.read(name);
        Inspected expected = inspect(bytes);
        for (int most : new int[] {bytes.length, 1, 777, 5000}) {
            PreemptTap tap = Captures.feed(new PreemptTap(4096), bytes, new Random(most), most);
            assertEquals(TapState.ENDED, tap.status().state(), tap.status().toString());
            assertEquals(expected.total("page"), tap.pages().full());
            assertEquals(expected.total("zero"), tap.pages().zero());
            assertEquals(name.contains("7.2"), tap.hasEndMark());
        }
    }

    @ParameterizedTest
    @MethodSource("multifdChannels")
    void multifdChannelsAreCounted(String name) throws IOException {
        byte[] bytes = Captures.read(name);
        Inspected expected = inspect(bytes);
        for (int most : new int[] {bytes.length, 1, 777, 5000}) {
            MultifdTap tap = Captures.feed(new MultifdTap(4096), bytes, new Random(most), most);
            assertEquals(TapState.ENDED, tap.status().state(), tap.status().toString());
            assertEquals(expected.total("packets"), tap.packets());
            assertEquals(expected.total("page"), tap.pages().full());
            assertEquals(expected.total("zero"), tap.pages().zero());
            assertEquals(expected.total("payload_bytes"), tap.payloadBytes());
            assertEquals(expected.total("sync"), tap.syncs());
            assertTrue(tap.hello().isPresent());
        }
    }

    @Test
    void recoveryKnowsWhatTheFirstConnectionSaid() {
        for (String version : List.of("7.2", "10.0")) {
            MainTap first = Captures.feed(
                    new MainTap(), Captures.read("recover-" + version + ".first.main.fwd.gz"), new Random(1), 100_000);
            MainTap second = Captures.feed(
                    MainTap.after(first, TapEvents.NONE),
                    Captures.read("recover-" + version + ".second.main.fwd.gz"),
                    new Random(1),
                    100_000);
            assertTrue(second.isResumed());
            assertEquals(first.ramSectionId(), second.ramSectionId());
            assertEquals(first.blocks(), second.blocks());
            assertEquals(first.blocks().size(), second.count(Mark.RECV_BITMAP));
            assertEquals(1, second.count(Mark.POSTCOPY_RESUME));
            assertEquals(
                    TapState.ENDED, second.status().state(), second.status().toString());
        }
    }

    @Test
    void everyKindOfCaptureWasThere() {
        assertTrue(mainChannels().size() >= 40, mainChannels().toString());
        assertEquals(2, preemptChannels().size());
        assertTrue(multifdChannels().size() >= 10);
    }
}
