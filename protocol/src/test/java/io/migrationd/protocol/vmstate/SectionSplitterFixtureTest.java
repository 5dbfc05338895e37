package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.vmstate.Captures.Split;
import io.migrationd.protocol.vmstate.SectionSplitter.Disagreement;
import io.migrationd.protocol.vmstate.SectionSplitter.Section;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Device sections of captured streams")
class SectionSplitterFixtureTest {
    static Stream<String> tails() {
        return Captures.tails().stream();
    }

    static Stream<String> blobs() {
        return Captures.BLOBS.stream();
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("tails")
    void footersAndDescriptionAgreeOnEverySection(String name) throws Exception {
        Split split = Captures.splitByFooters(Captures.bytes(name), 32_768);
        VmDescription description = VmDescription.parse(split.description());

        List<Section> described = SectionSplitter.split(split.run(), description);

        assertThat(texts(described)).isEqualTo(texts(split.sections()));
        assertThat(SectionSplitter.verify(split.sections(), withoutEarly(description)))
                .isEmpty();
    }

    private static List<String> texts(List<Section> sections) {
        return sections.stream()
                .map(s -> "%d %s %d %d %s"
                        .formatted(
                                s.id(),
                                s.name(),
                                s.instanceId(),
                                s.version(),
                                HexFormat.of().formatHex(s.body())))
                .toList();
    }

    private static VmDescription withoutEarly(VmDescription description) {
        return new VmDescription(
                description.configuration(),
                description.pageSizeBytes(),
                description.devices().stream()
                        .filter(d -> !d.name().endsWith("-early"))
                        .toList());
    }

    @ParameterizedTest(name = "chunks of {0} bytes")
    @ValueSource(ints = {1, 5, 7, 4096})
    void footersAreFoundInPieces(int chunkBytes) throws Exception {
        byte[] tail = Captures.bytes("vmstate-10.0/devices-pc.tail");

        Split split = Captures.splitByFooters(tail, chunkBytes);

        assertThat(texts(split.sections()))
                .isEqualTo(texts(SectionSplitter.split(split.run(), VmDescription.parse(split.description()))));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("blobs")
    void blobsWithoutDescriptionSplitToTheirLastByte(String name) throws Exception {
        Split split = Captures.splitByFooters(Captures.bytes(name), 4096);

        assertThat(split.sections()).hasSizeBetween(29, 30);
        assertThat(split.sections().getFirst().name()).isEqualTo("timer");
        assertThat(split.sections())
                .filteredOn(s -> s.name().equals("globalstate"))
                .allSatisfy(s -> assertThat(s.body()).hasSize(GlobalState.BODY_BYTES));
    }

    @Test
    void earlySectionIsFollowedByAPartOfAnother() throws Exception {
        StreamReader in = StreamReader.of(Captures.bytes("vmstate-10.0/virtio-mem.early"));
        VmDescription description =
                VmDescription.parse(Captures.description(Captures.bytes("vmstate-10.0/virtio-mem.tail")));
        in.skip("type", 1);
        int id = in.readInt("id");
        String idstr = in.readName("name");
        in.skip("instance and version", 8);

        byte[] body = new OpaqueSectionReader().readBody(in, id, known -> known == 1);

        assertThat(VmDescription.bodyLength(description.device(idstr, 0).orElseThrow(), body, 0))
                .isEqualTo(body.length);
    }

    @Test
    void streamWithoutFootersSplitsByItsDescriptionAlone() throws Exception {
        byte[] tail = Captures.bytes("vmstate-7.2/nofooter-noconfig.tail");
        String text = Captures.description(tail);
        VmDescription description = VmDescription.parse(text);
        byte[] run = Arrays.copyOf(tail, tail.length - text.length() - 5);

        List<Section> sections = SectionSplitter.split(run, description);

        assertThat(sections).hasSize(29).hasSameSizeAs(description.devices());
        assertThat(SectionSplitter.verify(sections, description)).isEmpty();
    }

    @Test
    void aFooterInABodyIsFoundOutAndCorrected() throws Exception {
        byte[] run = HexFormat.of().parseHex("""
                04 00000005 01 61 00000000 00000001  AABB 7E00000005 04 00000000 01 62 0000 7E00000005
                00""".replaceAll("\\s", ""));
        VmDescription description = VmDescription.parse("""
                {"page_size": 4096, "devices": [{"name": "a", "instance_id": 0, "vmsd_name": "a", "version": 1,
                 "fields": [{"name": "x", "type": "buffer", "size": 16}]}]}""");
        StreamReader in = StreamReader.of(run);
        in.skip("header", 15);

        byte[] guess = new OpaqueSectionReader().readBody(in, 5, id -> id == 5);
        Section guessed = new Section(5, "a", 0, 1, guess);

        assertThat(guess).hasSize(2);
        assertThat(SectionSplitter.verify(List.of(guessed), description))
                .containsExactly(new Disagreement("a", 0, "2 bytes found: a.x: 16 bytes are described, 2 are left"));
        assertThat(SectionSplitter.split(run, description))
                .singleElement()
                .satisfies(s -> assertThat(s.body()).hasSize(16).startsWith(0xAA, 0xBB));
    }

    @Test
    void sectionsThatAreMissingOnOneSideAreReported() throws Exception {
        VmDescription description = VmDescription.parse("""
                {"devices": [{"name": "a", "instance_id": 1, "size": 1,
                 "fields": [{"name": "data", "size": 1, "type": "buffer"}]}]}""");

        assertThat(SectionSplitter.verify(List.of(new Section(3, "a", 0, 1, new byte[1])), description))
                .containsExactly(
                        new Disagreement("a", 0, "found but not described"),
                        new Disagreement("a", 1, "described but not found"));
    }

    @ParameterizedTest(name = "{0}")
    @ValueSource(
            strings = {
                "02 00000005                                  | section.type at offset 0: expected a device section",
                "04 00000005 01 61 00000000 00000001 AA       | section.type at offset 16: expected 1 bytes, got 0 bytes",
                "04 00000005 01 61 00000000 00000001 AA 00 01 | section.type at offset 16: expected the end of the run",
                "04 00000005 01 61 00000000 00000001 AA 7E 00000006 00"
                        + " | section.footer.id at offset 17: expected 5, got 6",
            })
    void aRunWithAWrongEnvelopeIsRefused(String row) throws Exception {
        String[] parts = row.split("\\|", 2);
        byte[] run = HexFormat.of().parseHex(parts[0].replace(" ", ""));
        VmDescription description = VmDescription.parse("""
                {"devices": [{"name": "a", "instance_id": 0, "size": 1,
                 "fields": [{"name": "data", "size": 1, "type": "buffer"}]}]}""");

        assertThatThrownBy(() -> SectionSplitter.split(run, description))
                .isInstanceOf(ProtocolException.class)
                .hasMessageStartingWith(parts[1].strip());
    }
}
