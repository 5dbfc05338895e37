package io.migrationd.migrationd.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HexFormat;
import java.util.zip.GZIPOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import picocli.CommandLine;

@DisplayName("migrationd inspect")
class InspectCommandTest {
    /** Header, machine "pc", command SWITCHOVER_START, EOF. */
    private static final String STREAM = "5145564d00000003 07000000027063 08000b0000 00";

    private static final String SHOWN = """
                       0  header         version=3
                       8  configuration  machine=pc
                      15  COMMAND        command=SWITCHOVER_START
                      20  EOF
                      21  note           no description
            migration stream: cmd SWITCHOVER_START=1, notes=1
            """;

    @TempDir
    private Path directory = Path.of("");

    private final StringWriter out = new StringWriter();
    private final StringWriter err = new StringWriter();
    private Path capture = Path.of("");

    @BeforeEach
    void nameTheCapture() {
        capture = directory.resolve("capture");
    }

    @Test
    void printsAFile() throws IOException {
        Files.write(capture, bytes(STREAM));
        assertThat(inspect(capture.toString())).isZero();
        assertThat(out).hasToString(SHOWN);
        assertThat(err.toString()).isEmpty();
    }

    @Test
    void printsACompressedFile() throws IOException {
        try (OutputStream gzip = new GZIPOutputStream(Files.newOutputStream(capture))) {
            gzip.write(bytes(STREAM));
        }
        assertThat(inspect(capture.toString())).isZero();
        assertThat(out).hasToString(SHOWN);
    }

    @Test
    void printsFromAnOffset() throws IOException {
        Files.write(capture, bytes("5145564d 00000000" + STREAM));
        assertThat(inspect("--offset", "8", "--sections-only", capture.toString()))
                .isZero();
        assertThat(out.toString()).startsWith("           8  header ");
    }

    @Test
    void endsWith1AndTheFaultOnStandardError() throws IOException {
        Files.write(capture, bytes("5145564d00000003 07000000027063 08000c0000"));
        assertThat(inspect(capture.toString())).isOne();
        assertThat(out.toString()).endsWith("configuration  machine=pc\nmigration stream\n");
        assertThat(err)
                .hasToString("migrationd inspect: " + capture
                        + ": command.number at offset 16: expected 1 to 11, got 12 (in the section loop)\n");
    }

    @Test
    void saysWhereACaptureIsCut() throws IOException {
        Files.write(capture, bytes("5145564d00000003 070000000270"));
        assertThat(inspect(capture.toString())).isOne();
        assertThat(err.toString())
                .contains("ends inside the configuration section: configuration.machine-type at offset 13:");
    }

    @Test
    void printsJson() throws IOException {
        Files.write(capture, bytes(STREAM));
        assertThat(inspect("--json", capture.toString())).isZero();
        assertThat(out.toString().lines())
                .first()
                .isEqualTo("{\"offset\":0,\"depth\":0,\"what\":\"header\",\"version\":3}");
        assertThat(out.toString().lines())
                .last()
                .isEqualTo("{\"what\":\"result\",\"kind\":\"migration stream\","
                        + "\"totals\":{\"cmd SWITCHOVER_START\":1,\"notes\":1}}");
    }

    @Test
    void printsAReturnPath() throws IOException {
        Files.write(
                capture,
                bytes("00020004 00000001  0003000f 0000000000001000 00001000 026d30"
                        + "00050003 026d30 0000000000000008 0300000000000000 0123456789abcdef  00010004 00000000"));
        assertThat(inspect("--return-path", capture.toString())).isZero();
        assertThat(out.toString().lines())
                .containsExactly(
                        "           0  PONG           value=0x1",
                        "           8  REQ_PAGES_ID   block=m0 start=0x1000 bytes=4096",
                        "          27  RECV_BITMAP    block=m0",
                        "          58  SHUT           status=0",
                        "return path: PONG=1, REQ_PAGES_ID=1, RECV_BITMAP=1, SHUT=1");
    }

    @Test
    void saysWhereAReturnPathIsCut() throws IOException {
        Files.write(capture, bytes("00020004 00000001 0001 0004 00"));
        assertThat(inspect("--return-path", capture.toString())).isOne();
        assertThat(err.toString()).contains("ends inside the message at offset 8: rp.shut.status at offset 12:");
    }

    @ParameterizedTest
    @ValueSource(strings = {"--offset=-1", "--offset=1000", "--page-size=1000", "--page-size=512", "--unknown"})
    void endsWith2OnWrongUsage(String option) throws IOException {
        Files.write(capture, bytes(STREAM));
        assertThat(inspect(option, capture.toString())).isEqualTo(2);
        assertThat(out.toString()).isEmpty();
        assertThat(err.toString()).isNotEmpty();
    }

    @Test
    void endsWith1IfThereIsNoFile() {
        assertThat(inspect(capture.toString())).isOne();
        assertThat(err.toString()).contains("cannot be read").contains("NoSuchFileException");
    }

    private int inspect(String... arguments) {
        return new CommandLine(new InspectCommand())
                .setOut(new PrintWriter(out))
                .setErr(new PrintWriter(err))
                .execute(arguments);
    }

    private static byte[] bytes(String hex) {
        return HexFormat.of().parseHex(hex.replace(" ", ""));
    }
}
