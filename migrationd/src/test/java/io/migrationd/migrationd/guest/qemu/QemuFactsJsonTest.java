package io.migrationd.migrationd.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Facts in JSON")
class QemuFactsJsonTest {
    private static final ObjectMapper MAPPER = new ObjectMapper();

    @Test
    void comeBackAsTheyWere() throws Exception {
        SampleFacts facts = new SampleFacts();
        facts.blocked = List.of("a", "b");
        facts.waits();
        facts.clashes = List.of("c");
        facts.problems = List.of("p");
        assertThat(QemuFactsJson.decode(wire(QemuFactsJson.encode(facts.source()))))
                .isEqualTo(facts.source());
        assertThat(QemuFactsJson.decodeTarget(wire(QemuFactsJson.encode(facts.target()))))
                .isEqualTo(facts.target());
        facts.uuid = Optional.empty();
        facts.targetUuid = Optional.empty();
        facts.waiting = Optional.empty();
        assertThat(QemuFactsJson.decode(wire(QemuFactsJson.encode(facts.source()))))
                .isEqualTo(facts.source());
        assertThat(QemuFactsJson.decodeTarget(wire(QemuFactsJson.encode(facts.target()))))
                .isEqualTo(facts.target());
        List<Problem> problems = List.of(Problem.error("a", "b"), Problem.warning("c", "d"));
        assertThat(QemuFactsJson.decodeProblems(
                        MAPPER.readTree(QemuFactsJson.encode(problems).toString())))
                .isEqualTo(problems);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            unknown member      | {"x": 1}                     | guest: expected only
            number for text     | {"machine-type": 5}          | guest.machine-type: expected a string
            null                | {"machine-type": null}       | guest.machine-type: expected a string
            text for number     | {"vcpus": "2"}               | guest.vcpus: expected a number from 0 to 1048576
            fraction            | {"vcpus": 1.5}               | guest.vcpus: expected a number
            too large           | {"vcpus": 99999999999999999999} | guest.vcpus: expected a number
            negative            | {"ram-bytes": -1}            | guest.ram-bytes: expected a number
            flag                | {"running": "yes"}           | guest.running: expected true or false
            no uuid             | {"uuid": "x"}                | guest.uuid: expected a uuid
            no object           | {"version": [7, 2]}          | guest.version: expected an object
            version incomplete  | {"version": {"major": 7}}    | guest.version.minor: expected to be there
            version with more   | {"version": {"major": 7, "minor": 2, "micro": 1, "nano": 0}} | guest.version: expected only
            no array            | {"blocks": {}}               | guest.blocks: expected an array
            no block            | {"blocks": [1]}              | guest.blocks: expected an object
            block with more     | {"blocks": [{"name": "a", "page-size-bytes": 1, "used-bytes": 1, "max-bytes": 1, "x": 1}]} | guest.blocks: expected only
            numbers for names   | {"capabilities": [1]}        | guest.capabilities: expected a string
            """)
    void refusesWhatIsNone(String why, String change, String message) throws Exception {
        ObjectNode json = wire(QemuFactsJson.encode(new SampleFacts().source()));
        json.setAll((ObjectNode) MAPPER.readTree(change));
        assertThatThrownBy(() -> QemuFactsJson.decode(json))
                .as(why)
                .isInstanceOf(FactsException.class)
                .hasMessageStartingWith(message);
    }

    @Test
    void refusesWhatIsMissing() throws Exception {
        ObjectNode whole = wire(QemuFactsJson.encode(new SampleFacts().source()));
        List<String> names = List.copyOf(
                whole.properties().stream().map(entry -> entry.getKey()).toList());
        for (String name : names) {
            if (!name.equals("uuid") && !name.equals("name")) {
                ObjectNode json = whole.deepCopy();
                json.remove(name);
                assertThatThrownBy(() -> QemuFactsJson.decode(json)).hasMessage("guest.%s: expected to be there", name);
            }
        }
        assertThatThrownBy(() -> QemuFactsJson.decode(null)).hasMessage("guest: expected an object");
        assertThatThrownBy(() -> QemuFactsJson.decodeProblems(null)).isInstanceOf(FactsException.class);
    }

    @Test
    void refusesWhatHasNoEnd() throws Exception {
        ObjectNode json = wire(QemuFactsJson.encode(new SampleFacts().source()));
        json.put("machine-type", "x".repeat(StrictObject.MAX_TEXT + 1));
        assertThatThrownBy(() -> QemuFactsJson.decode(json)).hasMessageContaining("at most 512 characters");
        ObjectNode many = wire(QemuFactsJson.encode(new SampleFacts().source()));
        var reasons = many.putArray("blocked-reasons");
        for (int i = 0; i <= StrictObject.MAX_ELEMENTS; i++) {
            reasons.add("x");
        }
        assertThatThrownBy(() -> QemuFactsJson.decode(many)).hasMessageContaining("at most 2048 elements");
    }

    @Test
    void cutsWhatItsOwnReaderWouldRefuse() throws Exception {
        SampleFacts facts = new SampleFacts();
        facts.blocked = List.of("x".repeat(5000));
        assertThat(QemuFactsJson.decode(wire(QemuFactsJson.encode(facts.source())))
                        .blockedReasons())
                .containsExactly("x".repeat(StrictObject.MAX_TEXT));
    }

    private static ObjectNode wire(ObjectNode json) throws Exception {
        return (ObjectNode) MAPPER.readTree(json.toString());
    }
}
