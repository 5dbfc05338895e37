package io.migrationd.migrationd.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.migrationd.config.ConfigException;
import io.migrationd.migrationd.guest.qemu.GuestDefinition.Incoming;
import io.migrationd.migrationd.guest.qemu.MoveDefaults.AfterSuccess;
import io.migrationd.migrationd.guest.qemu.MoveDefaults.PostcopyUse;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.UUID;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Guest definitions")
class GuestDefinitionsTest {
    private static final String UUID_1 = "11111111-2222-3333-4444-555555555555";
    private static final String LEAST = """
            kind = "qemu"
            uuid = "%s"
            qmp = "/run/q/web01.qmp"
            """.formatted(UUID_1);

    @TempDir
    private Path directory = Path.of("");

    @Test
    void theLeastIsWhatItIsAndNoWayIn() throws Exception {
        write("web01", LEAST);
        GuestDefinition read = definitions().find("web01").orElseThrow();
        assertThat(read.name()).isEqualTo("web01");
        assertThat(read.uuid()).isEqualTo(UUID.fromString(UUID_1));
        assertThat(read.qmp()).isEqualTo(Path.of("/run/q/web01.qmp"));
        assertThat(read.incoming()).isEmpty();
        assertThat(read.move()).isEqualTo(MoveDefaults.NONE);
    }

    @Test
    void readsAllKeys() throws Exception {
        write("web01", LEAST + """
                [incoming]
                argv = ["qemu-system-x86_64", "-m", "64", "-device", '{"driver": "VGA"}']
                [move]
                downtime-limit-millis = 100
                max-downtime-millis = 200
                time-budget-millis = 60000
                postcopy = "when-stuck"
                preempt = true
                multifd-channels = 4
                xbzrle = false
                auto-converge = true
                after-success = "keep"
                retries = 0
                """);
        GuestDefinition read = definitions().find("web01").orElseThrow();
        assertThat(read.incoming())
                .contains(new Incoming.Start(
                        List.of("qemu-system-x86_64", "-m", "64", "-device", "{\"driver\": \"VGA\"}")));
        assertThat(read.move())
                .isEqualTo(new MoveDefaults(
                        100, 200, 60_000, PostcopyUse.WHEN_STUCK, true, 4, false, true, AfterSuccess.KEEP, 0));
    }

    @Test
    void readsASocketThatSomebodyElseWaitsAt() throws Exception {
        write("web01", LEAST + "incoming.waiting-qmp = \"/run/q/in.qmp\"");
        assertThat(definitions().find("web01").orElseThrow().incoming())
                .contains(new Incoming.Waiting(Path.of("/run/q/in.qmp")));
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            no TOML              | kind = | FILE:1: allowed: TOML 1.0
            no kind              | uuid = "@" | kind = (not in
            other kind           | kind = "process" | kind = process (FILE:1): allowed: "qemu"
            no uuid              | kind = "qemu" | uuid = (not in
            bad uuid             | kind = "qemu"; uuid = "1-2-3-4-5" | uuid = 1-2-3-4-5 (FILE:2): allowed: a uuid
            zero uuid            | kind = "qemu"; uuid = "00000000-0000-0000-0000-000000000000" | not all zero
            no qmp               | kind = "qemu"; uuid = "@" | qmp = (not in
            relative qmp         | kind = "qemu"; uuid = "@"; qmp = "a" | qmp = a (FILE:3): allowed: an absolute path
            qmp with a comma     | kind = "qemu"; uuid = "@"; qmp = "/a,server=off" | without ., .. and commas
            qmp of a number      | kind = "qemu"; uuid = "@"; qmp = 5 | qmp = 5 (FILE:3)
            unknown key          | *; nmae = 1 | nmae = 1 (FILE:4): allowed: no such key; the keys are kind, uuid
            unknown key in table | *; move.speed = 1 | move.speed = 1 (FILE:4)
            key with a blank     | *; "a b" = 1 | no such key
            unknown table        | *; [out]; x = 1 | no such key
            incoming no table    | *; incoming = 1 | incoming =
            incoming empty       | *; [incoming] | argv or waiting-qmp in it
            move no table        | *; move = 1 | move = 1 (FILE:4)
            both ways            | *; incoming.argv = ["q"]; incoming.waiting-qmp = "/b" | either argv or waiting-qmp
            waiting at qmp       | *; incoming.waiting-qmp = "/run/q/web01.qmp" | another socket than qmp
            argv of a string     | *; incoming.argv = "qemu -m 5" | incoming.argv = qemu -m 5 (FILE:4): allowed: a list
            argv empty           | *; incoming.argv = [] | a list of 1 to
            argv of numbers      | *; incoming.argv = ["q", 5] | incoming.argv = 5 (FILE:4): allowed: a list of strings
            own -incoming        | *; incoming.argv = ["q", "-incoming", "tcp:0:1"] | no -incoming
            own --incoming       | *; incoming.argv = ["q", "--incoming", "tcp:0:1"] | no -incoming
            daemonize            | *; incoming.argv = ["q", "-daemonize"] | no -daemonize
            other placeholder    | *; incoming.argv = ["q", "{home}"] | no placeholders but {qmp}, {name}, {uuid} and {run}
            downtime 0           | *; move.downtime-limit-millis = 0 | a number from 1 to 2000000
            downtime as text     | *; move.downtime-limit-millis = "5" | move.downtime-limit-millis = 5 (FILE:4)
            limit above maximum  | *; move.downtime-limit-millis = 9; move.max-downtime-millis = 8 | move.max-downtime-millis = 8 (FILE:5): allowed: at least
            budget               | *; move.time-budget-millis = -1 | a number from 0 to
            postcopy             | *; move.postcopy = "always" | allowed: "never", "after-first-pass", "when-stuck"
            postcopy as flag     | *; move.postcopy = true | move.postcopy = true (FILE:4)
            preempt alone        | *; move.preempt = true | move.preempt = true (FILE:4): allowed: false, or move.postcopy
            channels             | *; move.multifd-channels = 17 | a number from 0 to 16
            xbzrle with multifd  | *; move.multifd-channels = 2; move.xbzrle = true | move.xbzrle = true (FILE:5): allowed: false, or
            auto-converge        | *; move.auto-converge = 1 | true or false
            after success        | *; move.after-success = "drop" | allowed: "quit", "keep"
            retries              | *; move.retries = 101 | a number from 0 to 100
            """)
    void saysWhatIsWrong(String why, String text, String message) throws Exception {
        String toml = text.replace("*", LEAST.strip().replace("\n", ";"));
        write("web01", toml.replaceAll("; ?", "\n").replace("@", UUID_1));
        assertThatThrownBy(() -> definitions().find("web01"))
                .as(why)
                .isInstanceOf(ConfigException.class)
                .hasMessageContaining(
                        message.replace("FILE", directory.resolve("web01.toml").toString()));
    }

    @Test
    void aWrongFileHidesNoOther() throws Exception {
        write("web01", LEAST);
        write("db01", "kind = 5");
        write("..bad", LEAST);
        Files.writeString(directory.resolve("notes.txt"), "not a definition");
        GuestDefinitions.Listing listing = definitions().read();
        assertThat(listing.definitions()).containsOnlyKeys("web01");
        assertThat(listing.problems())
                .containsOnlyKeys(directory.resolve("db01.toml"), directory.resolve("..bad.toml"));
        assertThat(definitions().find("nope")).isEmpty();
    }

    @Test
    void twinsAreNobodys() throws Exception {
        write("a", LEAST);
        write("b", LEAST.replace("web01.qmp", "b.qmp"));
        GuestDefinitions.Listing listing = definitions().read();
        assertThat(listing.definitions()).isEmpty();
        assertThat(listing.problems().get(directory.resolve("b.toml")))
                .hasMessageContaining(UUID_1 + " of [a, b]: allowed: a uuid and a qmp that no other definition has");
    }

    @Test
    void readsAnewEachTime() throws Exception {
        GuestDefinitions definitions = definitions();
        assertThat(definitions.read().definitions()).isEmpty();
        write("web01", LEAST);
        assertThat(definitions.find("web01")).isPresent();
        Files.delete(directory.resolve("web01.toml"));
        assertThat(definitions.find("web01")).isEmpty();
    }

    @Test
    void isBounded() throws Exception {
        write("long", LEAST + "# " + "x".repeat(GuestDefinitions.MAX_FILE_BYTES));
        assertThatThrownBy(() -> definitions().find("long")).hasMessageContaining("at most 65536 bytes");
        for (int i = 0; i <= GuestDefinitions.MAX_FILES; i++) {
            write("g" + i, "");
        }
        assertThat(definitions().read().problems().get(directory)).hasMessageContaining("at most 1024");
    }

    @Test
    void takesNoFileThatEverybodyMayWrite() throws Exception {
        write("web01", LEAST);
        Files.setPosixFilePermissions(directory.resolve("web01.toml"), PosixFilePermissions.fromString("rw-rw-rw-"));
        assertThatThrownBy(() -> definitions().find("web01")).hasMessageContaining("that others cannot write");
    }

    @Test
    void withoutADirectoryThereAreNone() {
        GuestDefinitions.Listing listing = new GuestDefinitions(directory.resolve("none")).read();
        assertThat(listing.definitions()).isEmpty();
        assertThat(listing.problems()).isEmpty();
    }

    @Test
    void appendsWhatTheTemplateDoesNotSay() throws Exception {
        assertThat(commandLine("\"q\", \"-m\", \"64\""))
                .containsExactly(
                        "q",
                        "-m",
                        "64",
                        "-name",
                        "web01",
                        "-uuid",
                        UUID_1,
                        "-qmp",
                        "unix:/run/q/web01.qmp,server=on,wait=off",
                        "-S",
                        "-incoming",
                        "defer");
    }

    @Test
    void fillsInThePlaceholders() throws Exception {
        assertThat(commandLine(
                        "\"q\", \"-S\", \"-uuid\", \"{uuid}\", \"-name\", \"{name},debug-threads=on\", \"-chardev\","
                                + " \"socket,path={qmp},id=m\", \"-serial\", \"file:{run}/serial$1\""))
                .containsExactly(
                        "q",
                        "-S",
                        "-uuid",
                        UUID_1,
                        "-name",
                        "web01,debug-threads=on",
                        "-chardev",
                        "socket,path=/run/q/web01.qmp,id=m",
                        "-serial",
                        "file:/r/web01/serial$1",
                        "-incoming",
                        "defer");
    }

    private List<String> commandLine(String argv) throws Exception {
        write("web01", LEAST + "incoming.argv = [" + argv + "]");
        GuestDefinition read = definitions().find("web01").orElseThrow();
        return read.commandLine((Incoming.Start) read.incoming().orElseThrow(), Path.of("/r/web01"));
    }

    private GuestDefinitions definitions() {
        return new GuestDefinitions(directory);
    }

    private void write(String name, String text) throws IOException {
        Files.writeString(directory.resolve(name + ".toml"), text);
    }
}
