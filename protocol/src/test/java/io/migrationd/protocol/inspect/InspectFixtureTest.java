package io.migrationd.protocol.inspect;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.protocol.Fixtures;
import io.migrationd.protocol.Fixtures.Run;
import io.migrationd.protocol.multifd.MultifdHelloCodec;
import io.migrationd.protocol.multifd.MultifdPacketCodec;
import io.migrationd.protocol.stream.ConfigurationCodec;
import io.migrationd.protocol.stream.DescriptionElement;
import io.migrationd.protocol.stream.StreamElementCodec;
import io.migrationd.protocol.stream.StreamHeader;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Every capture")
class InspectFixtureTest {
    /** Names of counts that the manifest has too. */
    private static final Set<String> RECORDS =
            Set.of("page", "zero", "continue", "eos", "xbzrle", "xbytes", "compress", "mfdflush", "dbm", "blk");

    /** Items that a codec reads and writes. */
    private static final Set<String> WRITTEN_AGAIN = Set.of(
            "header",
            "configuration",
            "START",
            "PART",
            "END",
            "FULL",
            "COMMAND",
            "EOF",
            "DESCRIPTION",
            "hello",
            "packet");

    static Stream<Run> runs() {
        return Fixtures.manifest().values().stream();
    }

    static Stream<String> forwardFiles() {
        return runs().flatMap(run -> run.files().keySet().stream()).filter(file -> !file.contains(".rev."));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("runs")
    void hasTheRecordsOfTheManifest(Run run) throws IOException {
        byte[] capture = Fixtures.read(run.mainChannel());
        InspectResult result = inspect(capture, new ArrayList<>());
        Map<String, Long> found = new TreeMap<>(result.totals());
        found.keySet().removeIf(name -> !RECORDS.contains(name) && !name.startsWith("cmd "));
        assertThat(found).isEqualTo(new TreeMap<>(run.records()));
        assertThat((long) capture.length).isEqualTo(run.files().get(run.mainChannel()));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("forwardFiles")
    void isWalkedToItsLastByte(String file) throws IOException {
        List<InspectItem> items = new ArrayList<>();
        InspectResult result = inspect(Fixtures.read(file), items);
        if (file.contains(".first.")) {
            assertThat(result.fault().orElseThrow().truncated()).isTrue();
            assertThat(result.fault().orElseThrow().offset()).isEqualTo(Fixtures.read(file).length);
        } else {
            assertThat(result.fault()).isEmpty();
        }
        assertThat(items)
                .noneMatch(item -> String.valueOf(item.details().get("text")).contains("follow the end"));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("forwardFiles")
    void isWrittenAgainByteForByte(String file) throws IOException {
        byte[] capture = Fixtures.read(file);
        List<InspectItem> items = new ArrayList<>();
        inspect(capture, items);
        StreamReader in = StreamReader.of(capture);
        int elements = 0;
        for (InspectItem item : items) {
            if (!WRITTEN_AGAIN.contains(item.what()) || isLeftoverOf72(item, file)) {
                continue;
            }
            in.skip("what has no codec here", item.offset() - in.offset());
            WireWriter out = new WireWriter();
            rewrite(item, in, out);
            elements++;
            assertThat(out.toByteArray())
                    .as("%s at %d", item.what(), item.offset())
                    .isEqualTo(Arrays.copyOfRange(capture, (int) item.offset(), (int) in.offset()));
        }
        // A preempt channel has no elements.
        assertThat(elements).isGreaterThan(file.contains("preempt.fwd") ? -1 : 0);
    }

    /** 7.2 leaves old data in what a packet does not use. */
    private static boolean isLeftoverOf72(InspectItem item, String file) {
        return item.what().equals("packet") && file.contains("7.2");
    }

    private static void rewrite(InspectItem item, StreamReader in, WireWriter out) throws IOException {
        switch (item.what()) {
            case "header" -> {
                StreamHeader.read(in);
                StreamHeader.write(out);
            }
            case "configuration" ->
                ConfigurationCodec.write(ConfigurationCodec.read(in).configuration(), out);
            case "DESCRIPTION" -> {
                var present = (DescriptionElement.Present) DescriptionElement.read(in, Integer.MAX_VALUE);
                DescriptionElement.write(present.json(), out);
            }
            case "hello" -> MultifdHelloCodec.write(MultifdHelloCodec.read(in), out);
            case "packet" -> {
                MultifdPacketCodec codec = new MultifdPacketCodec(4096);
                codec.write(codec.read(in), out);
            }
            default -> StreamElementCodec.write(StreamElementCodec.read(in), out);
        }
    }

    @Test
    void isSplitByFootersAsTheDescriptionSays() throws IOException {
        // The footer alone delimits the devices of a COLO stream, whose description comes too early to be found first.
        List<InspectItem> items = new ArrayList<>();
        inspect(Fixtures.read("colo-10.0.main.fwd.gz"), items);
        assertThat(items)
                .filteredOn(item -> item.what().equals("FULL"))
                .allMatch(item -> "footer".equals(item.details().get("by")));
        assertThat(items).noneMatch(item -> item.what().equals("note"));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            arm-10.0.bin.gz                    | configuration | machine=virt-10.0 page_bits=12
            uuid-10.0.bin.gz                   | configuration | machine=pc-i440fx-10.0 uuid=12345678-9abc-def0-1122-334455667788
            ignore-shared-10.0.bin.gz          | block         | name=m0 bytes=8388608 guest_physical=0x0
            hugepage-postcopy-10.0.main.fwd.gz | block         | name=m0 bytes=8388608 page_size=2097152
            mapped-ram-10.0.bin.gz             | block         | name=pc.ram bytes=8388608 pages_offset=1048576 stored_pages=208
            dirty-bitmap-10.0.bin.gz           | bitmap        | node=n0 name=bm2 granularity=65536 enabled=false persistent=false
            nofooter-noconfig-7.2.bin.gz       | note          | no configuration section
            file-offset-10.0.bin.gz            | note          | the stream starts here, not at offset 0
            recover-7.2.second.main.fwd.gz     | COMMAND       | command=RECV_BITMAP block=pc.ram
            multifd-10.0.multifd1.fwd.gz       | hello         | channel=1 uuid=00000000-0000-0000-0000-000000000000
            """)
    void isShownWithWhatIsSpecialAboutIt(String file, String what, String details) throws IOException {
        List<InspectItem> items = new ArrayList<>();
        inspect(Fixtures.read(file), items);
        InspectItem first = items.stream()
                .filter(item -> item.what().equals(what))
                .findFirst()
                .orElseThrow();
        assertThat(ItemText.line(first)).endsWith(" " + details);
    }

    private static InspectResult inspect(byte[] capture, List<InspectItem> items) throws IOException {
        return StreamInspector.inspect(InspectInput.of(capture), InspectOptions.DEFAULT, items::add);
    }
}
