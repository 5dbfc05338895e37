package io.migrationd.migrationd.control;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.awaitility.Awaitility;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("QMP dialect over a Unix socket")
@Timeout(value = 30, unit = TimeUnit.SECONDS)
class QmpDialectTest {
    private static final String WITH_OOB =
            "{\"execute\": \"qmp_capabilities\", \"arguments\": {\"enable\": [\"oob\"]}}";

    private ControlFixture fixture;

    @BeforeEach
    void start(@TempDir Path directory) throws IOException {
        fixture = new ControlFixture(directory);
    }

    @AfterEach
    void stop() {
        fixture.close();
    }

    @Test
    void greetsWithVersionAndCapabilities() throws IOException {
        try (QmpTestClient client = QmpTestClient.connect(fixture.paths.controlSocket())) {
            assertThat(client.readLine())
                    .isEqualTo("{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 0, \"major\": 10},"
                            + " \"package\": \"migrationd 0.1.0\"}, \"capabilities\": [\"oob\"]}}");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        other command    | {"execute": "query-version"}        | {"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with 'qmp_capabilities'"}}
        unknown command  | {"execute": "x", "id": 1}           | {"error": {"class": "CommandNotFound", "desc": "Expecting capabilities negotiation with 'qmp_capabilities'"}, "id": 1}
        exec-oob         | {"exec-oob": "yank"}                | {"error": {"class": "GenericError", "desc": "QMP input member 'exec-oob' is unexpected"}}
        bogus capability | {"execute": "qmp_capabilities", "arguments": {"enable": ["bogus"]}} | {"error": {"class": "GenericError", "desc": "Parameter 'enable[0]' does not accept value 'bogus'"}}
        ill-typed        | {"execute": "qmp_capabilities", "arguments": {"enable": "oob"}}     | {"error": {"class": "GenericError", "desc": "Parameter 'enable' expects array"}}
        unknown argument | {"execute": "qmp_capabilities", "arguments": {"x": 1}}              | {"error": {"class": "GenericError", "desc": "Parameter 'x' is unexpected"}}
        not JSON         | {"execute": }                       | {"error": {"class": "GenericError", "desc": "JSON parse error, Unexpected character ('}' (code 125)): expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false') at column 14"}}
        """)
    void answersBeforeNegotiationAndStaysThere(String why, String input, String expected) throws IOException {
        try (QmpTestClient client = QmpTestClient.connect(fixture.paths.controlSocket())) {
            client.readLine();
            assertThat(shortened(client.ask(input))).isEqualTo(shortened(expected));
            assertThat(client.ask("{\"execute\": \"qmp_capabilities\"}")).isEqualTo("{\"return\": {}}");
            assertThat(client.ask("{\"execute\": \"query-version\"}")).startsWith("{\"return\": {\"qemu\": ");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        second negotiation    | {"execute": "qmp_capabilities"} | CommandNotFound | Capabilities negotiation is already complete, command ignored
        not an object: array  | []                              | GenericError    | QMP input must be a JSON object
        not an object: string | "execute"                       | GenericError    | QMP input must be a JSON object
        not an object: number | 17                              | GenericError    | QMP input must be a JSON object
        bare word             | help                            | GenericError    | JSON parse error
        no execute            | {}                              | GenericError    | QMP input lacks member 'execute'
        no execute, an id     | {"id": 1}                       | GenericError    | QMP input lacks member 'execute'
        unknown member        | {"execute": "stop", "x": 1}     | GenericError    | QMP input member 'x' is unexpected
        exec-oob not enabled  | {"exec-oob": "yank"}            | GenericError    | QMP input member 'exec-oob' is unexpected
        execute: number       | {"execute": 1}                  | GenericError    | QMP input member 'execute' must be a string
        execute: null         | {"execute": null}               | GenericError    | QMP input member 'execute' must be a string
        arguments: array      | {"execute": "stop", "arguments": []}   | GenericError | QMP input member 'arguments' must be an object
        arguments: null       | {"execute": "stop", "arguments": null} | GenericError | QMP input member 'arguments' must be an object
        unknown command       | {"execute": "x-y"}              | CommandNotFound | The command x-y has not been found
        a command of QEMU's   | {"execute": "yank"}             | CommandNotFound | The command yank has not been found
        broken                | {"execute" "stop"}              | GenericError    | JSON parse error
        comma too many        | {"execute": "stop",}            | GenericError    | JSON parse error
        same key twice        | {"execute": "stop", "execute": "cont"} | GenericError | JSON parse error
        invalid UTF-8 escape  | {"execute": "\\x"}              | GenericError    | JSON parse error
        garbage, line feed    | }}}@@                           | GenericError    | JSON parse error
        """)
    void answersErrorsAndGoesOn(String why, String input, String errorClass, String text) throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            String reply = client.ask(input + "\n");
            assertThat(reply).contains("\"class\": \"" + errorClass + "\"").contains("\"desc\": \"" + text);
            assertThat(client.ask("{\"execute\": \"query-version\"}")).startsWith("{\"return\": {\"qemu\": ");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        number          | 17                  | 17
        negative        | -1                  | -1
        large           | 123456789012345678901234567890 | 123456789012345678901234567890
        fraction        | 1.50                | 1.50
        exponent        | 1e400               | 1E+400
        string          | "libvirt-1"         | "libvirt-1"
        not ASCII       | "Grüße\u20ac"       | "Gr\\u00FC\\u00DFe\\u20AC"
        single quotes   | 'a"b'               | "a\\"b"
        null            | null                | null
        false           | false               | false
        object          | {"a": [1, {}, []]}  | {"a": [1, {}, []]}
        """)
    void echoesTheId(String why, String id, String echoed) throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask("{\"execute\": \"query-status\", \"id\": " + id + "}"))
                    .isEqualTo("{\"return\": {\"status\": \"running\", \"running\": true}, \"id\": " + echoed + "}");
            assertThat(client.ask("{'execute': 'x', 'id': " + id + "}"))
                    .isEqualTo(
                            "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command x has not been found\"},"
                                    + " \"id\": " + echoed + "}");
        }
    }

    @Test
    void errorOfBrokenJsonHasNoId() throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask("{\"id\": 1, \"execute\": }")).doesNotContain("\"id\"");
        }
    }

    @Test
    void controlByteResetsTheParserWithOneError() throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            client.send("{\"execute\": \"query-ver");
            assertThat(client.ask("\u0001")).contains("JSON parse error, invalid byte 0x01 in a string");
            assertThat(client.ask("{\"execute\": \"query-version\"}")).startsWith("{\"return\": ");
        }
    }

    @Test
    void binaryGarbageIsAnsweredByErrorsOnly() throws IOException {
        byte[] garbage = new byte[5000];
        new Random(4711).nextBytes(garbage);
        try (QmpTestClient client = fixture.daemonClient()) {
            client.sendBytes(garbage);
            client.send("\u0001\u0001{\"execute\": \"query-version\", \"id\": \"end\"}");
            String line = client.readLine();
            while (!line.contains("\"id\": \"end\"")) {
                assertThat(line).startsWith("{\"error\": {\"class\": \"GenericError\", ");
                line = client.readLine();
            }
            assertThat(line).startsWith("{\"return\": ");
        }
    }

    @Test
    void hugeMessageIsRefusedWithoutKeepingIt() throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            client.send("{\"execute\": \"");
            client.send("a".repeat(3 << 20));
            assertThat(client.ask("\"}\n")).contains("JSON parse error, message longer than 1048576 bytes");
            assertThat(client.ask("{\"execute\": \"query-version\"}")).startsWith("{\"return\": ");
        }
    }

    @Test
    void largestMessageIsAccepted() throws IOException {
        String start = "{\"execute\": \"query-version\", \"id\": \"";
        String id = "a".repeat((1 << 20) - start.length() - 2);
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask(start + id + "\"}")).endsWith("aaa\"}").hasSizeGreaterThan(id.length());
        }
    }

    @ParameterizedTest(name = "{0} levels: {1}")
    @CsvSource({"1023, return", "1024, error"})
    void deepNestingIsBounded(int levels, String outcome) throws IOException {
        String id = "[".repeat(levels) + "]".repeat(levels);
        try (QmpTestClient client = fixture.daemonClient()) {
            assertThat(client.ask("{\"execute\": \"query-version\", \"id\": " + id + "}\n"))
                    .startsWith("{\"" + outcome + "\": ");
            assertThat(client.ask("{\"execute\": \"query-version\"}")).startsWith("{\"return\": ");
        }
    }

    @Test
    void runsCommandsInOrderAlsoWhenTheyComeAtOnce() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            client.send("{'execute':'stop','id':1}{'execute':'nope','id':2}\n{'execute':'query-status','id':3} 17 ");
            assertThat(client.readLine()).isEqualTo("{\"return\": {}, \"id\": 1}");
            assertThat(client.readLine())
                    .contains("The command nope has not been found")
                    .endsWith("\"id\": 2}");
            assertThat(client.readLine())
                    .startsWith("{\"return\": {\"status\": ")
                    .endsWith("\"id\": 3}");
            assertThat(client.readLine()).contains("QMP input must be a JSON object");
        }
    }

    @Test
    void answersWhatWasSentBeforeTheClientEndedItsOutput() throws IOException {
        try (QmpTestClient client = QmpTestClient.connect(fixture.paths.guestControlSocket("web01"))) {
            client.send("{'execute':'qmp_capabilities'}{'execute':'stop','id':1}{'execute':'query-status','id':2}");
            client.endOutput();
            assertThat(client.readLine()).startsWith("{\"QMP\": ");
            assertThat(client.readLine()).isEqualTo("{\"return\": {}}");
            assertThat(client.readLine()).isEqualTo("{\"return\": {}, \"id\": 1}");
            assertThat(client.readLine()).endsWith("\"id\": 2}");
            assertThat(client.readLine()).isEqualTo("<closed>");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        in-band command    | {'exec-oob': 'query-status', 'id': 7}           | GenericError    | The command query-status does not support OOB
        yank               | {'exec-oob': 'yank', 'id': 7}                   | CommandNotFound | The command yank has not been found
        without arguments  | {'exec-oob': 'migrate-recover', 'id': 7}        | GenericError    | Parameter 'uri' is missing
        """)
    void outOfBandOvertakesWhatWaits(String why, String input, String errorClass, String text) throws IOException {
        CountDownLatch gate = new CountDownLatch(1);
        fixture.web.stopGate = gate;
        try (QmpTestClient client = QmpTestClient.negotiated(fixture.paths.guestControlSocket("web01"), WITH_OOB)) {
            client.send("{'execute': 'stop', 'id': 1}");
            assertThat(client.ask(input))
                    .contains("\"class\": \"" + errorClass + "\"")
                    .contains(text)
                    .endsWith("\"id\": 7}");
            gate.countDown();
            assertThat(client.readLine()).isEqualTo("{\"return\": {}, \"id\": 1}");
        }
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        {'exec-oob': 'migrate-pause', 'id': 7}                                           | migrate-pause
        {'exec-oob': 'migrate-recover', 'arguments': {'uri': 'tcp:127.0.0.1:1'}, 'id': 7} | migrate-recover tcp:127.0.0.1:1
        """)
    void pauseAndRecoverRunWhileAnotherCommandHangs(String input, String call) throws IOException {
        CountDownLatch gate = new CountDownLatch(1);
        fixture.web.stopGate = gate;
        try (QmpTestClient client = QmpTestClient.negotiated(fixture.paths.guestControlSocket("web01"), WITH_OOB)) {
            client.send("{'execute': 'stop', 'id': 1}");
            assertThat(client.ask(input)).isEqualTo("{\"return\": {}, \"id\": 7}");
            assertThat(fixture.web.calls).contains(call);
            gate.countDown();
            assertThat(client.readLine()).isEqualTo("{\"return\": {}, \"id\": 1}");
        }
    }

    @Test
    void oneMessageIsInBandOrOutOfBand() throws IOException {
        try (QmpTestClient client = QmpTestClient.negotiated(fixture.paths.controlSocket(), WITH_OOB)) {
            assertThat(client.ask("{'exec-oob': 'yank', 'execute': 'stop'}"))
                    .contains("QMP input members 'execute' and 'exec-oob' exclude each other");
        }
    }

    @Test
    void readsEightCommandsAheadAndNoMore() throws IOException {
        CountDownLatch gate = new CountDownLatch(1);
        fixture.web.stopGate = gate;
        try (QmpTestClient client = QmpTestClient.negotiated(fixture.paths.guestControlSocket("web01"), WITH_OOB)) {
            StringBuilder commands = new StringBuilder();
            for (int id = 1; id <= QmpConnection.MAX_IN_FLIGHT; id++) {
                commands.append("{'execute': 'stop', 'id': ").append(id).append('}');
            }
            // The out-of-band command is the ninth: it cannot overtake, for it is not read.
            client.send(commands + "{'exec-oob': 'yank', 'id': 'oob'}");
            Awaitility.await().until(() -> fixture.web.calls.contains("stop"));
            gate.countDown();
            String first = client.readLine();
            assertThat(first).isEqualTo("{\"return\": {}, \"id\": 1}");
            for (int lines = 2; lines <= 9; lines++) {
                client.readLine();
            }
        }
    }

    @Test
    void faultOfACommandIsAnErrorAndTheConnectionLives() throws IOException {
        try (QmpTestClient client = fixture.guestClient("web01")) {
            assertThat(client.ask("{'execute': 'cont'}"))
                    .contains("The command cont failed by a fault of the daemon; its log has the details");
            assertThat(client.ask("{'execute': 'query-status'}")).startsWith("{\"return\": ");
        }
    }

    @Test
    void utf16IsNotGuessed() throws IOException {
        try (QmpTestClient client = fixture.daemonClient()) {
            client.sendBytes("{}".getBytes(StandardCharsets.UTF_16BE));
            assertThat(client.readLine()).contains("JSON parse error, invalid byte 0x00");
        }
    }

    /** The parser's own words are not ours to promise. */
    private static String shortened(String reply) {
        return reply.replaceAll("JSON parse error, .*", "JSON parse error");
    }
}
