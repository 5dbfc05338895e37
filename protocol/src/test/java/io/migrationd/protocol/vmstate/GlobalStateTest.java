package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.vmstate.SectionSplitter.Section;
import io.migrationd.protocol.vmstate.VmDescriptionWriter.Saved;
import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import java.io.IOException;
import java.util.HexFormat;
import java.util.Optional;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.FieldSource;

@DisplayName("globalstate")
class GlobalStateTest {
    private static final String NAME = "72756e6e696e67" + "00".repeat(25);

    private static GlobalState decode(String hex) throws IOException {
        return GlobalState.decode(StreamReader.of(HexFormat.of().parseHex(hex.replace(" ", ""))), 1);
    }

    @Test
    void encodesTheCapturedImage() {
        Saved saved = new GlobalState("running", Optional.of(false)).encode();

        assertThat(HexFormat.of().formatHex(saved.body()))
                .isEqualTo("00000008" + NAME + "01" + "00" + "00".repeat(66))
                .hasSize(2 * GlobalState.BODY_BYTES);
        assertThat(saved.json())
                .isEqualTo("{\"name\": \"globalstate\", \"instance_id\": 0, \"vmsd_name\": \"globalstate\", "
                        + "\"version\": 1, \"fields\": [{\"name\": \"size\", \"type\": \"uint32\", \"size\": 4}, "
                        + "{\"name\": \"runstate\", \"type\": \"buffer\", \"size\": 32}, "
                        + "{\"name\": \"has_vm_was_suspended\", \"type\": \"uint8\", \"size\": 1}, "
                        + "{\"name\": \"vm_was_suspended\", \"type\": \"uint8\", \"size\": 1}, "
                        + "{\"name\": \"unused\", \"type\": \"buffer\", \"size\": 66}]}");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource({
        "vmstate-10.0/precopy.tail, paused",
        "vmstate-10.0/live.tail, running",
        "vmstate-10.0/arm.tail, prelaunch",
        "vmstate-10.0/postcopy.package, running"
    })
    void capturedSectionsSurviveARoundTrip(String capture, String runState) throws Exception {
        Section section = Captures.splitByFooters(Captures.bytes(capture), 4096).sections().stream()
                .filter(s -> s.name().equals(GlobalState.SECTION))
                .findFirst()
                .orElseThrow();

        GlobalState state = GlobalState.decode(StreamReader.of(section.body()), section.version());

        assertThat(state).isEqualTo(new GlobalState(runState, Optional.of(false)));
        assertThat(state.encode().body()).isEqualTo(section.body());
    }

    @Test
    void oldSourcesDoNotTellAboutSuspension() throws IOException {
        assertThat(decode("00000008" + NAME + "00" + "01" + "00".repeat(66)))
                .isEqualTo(new GlobalState("running", Optional.empty()));
        assertThat(decode("00000008" + NAME + "01" + "01" + "00".repeat(66)))
                .isEqualTo(new GlobalState("running", Optional.of(true)));
    }

    @ParameterizedTest(name = "length field {0}")
    @CsvSource({"00000000", "00000001", "ffffffff"})
    void lengthFieldIsIgnored(String length) throws IOException {
        assertThat(decode(length + NAME + "00".repeat(68)).runState()).isEqualTo("running");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        unknown      | 00000007 666c79696e6700000000000000000000 00000000000000000000000000000000 | unknown run state 'flying'
        empty        | 00000001 00000000000000000000000000000000 00000000000000000000000000000000 | unknown run state ''
        unterminated | 00000020 61616161616161616161616161616161 61616161616161616161616161616161 | unknown run state 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa'
        """)
    void unknownNamesAreRefused(String why, String hex, String cause) {
        assertThatThrownBy(() -> decode(hex + "00".repeat(68)))
                .as(why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage("globalstate at offset 0: expected a state that the post-load hook accepts, got a refusal")
                .rootCause()
                .hasMessage("globalstate: " + cause);
    }

    @Test
    void otherVersionsAndShortBodiesAreRefused() {
        byte[] body = new GlobalState("paused", Optional.empty()).encode().body();

        assertThatThrownBy(() -> GlobalState.decode(StreamReader.of(body), 2))
                .isInstanceOf(ProtocolException.class)
                .hasMessage("globalstate.version at offset 0: expected version 1 to 1, got 2");
        assertThatThrownBy(() -> decode("00000008" + NAME + "01" + "00" + "00".repeat(65)))
                .isInstanceOf(ProtocolException.class)
                .hasMessageStartingWith("globalstate.unused at offset 38: expected 66 bytes");
        assertThatThrownBy(() -> new GlobalState("flying", Optional.empty()))
                .isInstanceOf(IllegalArgumentException.class);
    }

    static final Iterable<String> NAMES = GlobalState.RUN_STATES;

    @ParameterizedTest(name = "{0}")
    @FieldSource("NAMES")
    void everyKnownNameSurvivesARoundTrip(String runState) throws IOException {
        GlobalState state = new GlobalState(runState, Optional.of(true));

        assertThat(GlobalState.decode(StreamReader.of(state.encode().body()), 1))
                .isEqualTo(state);
    }
}
