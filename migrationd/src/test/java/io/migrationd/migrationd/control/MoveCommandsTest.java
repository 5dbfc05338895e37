package io.migrationd.migrationd.control;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Move commands")
class MoveCommandsTest {
    private final FakeMoves moves = new FakeMoves();
    private final List<Command> commands = new MoveCommands(moves).commands();

    private JsonNode run(String name, String arguments) throws Exception {
        Command command = commands.stream()
                .filter(any -> any.name().equals(name))
                .findFirst()
                .orElseThrow();
        ObjectNode members =
                (ObjectNode) Json.parse(arguments.replace('\'', '"').getBytes(StandardCharsets.UTF_8));
        JsonNode result = command.run(new Arguments(members));
        command.returns().check("", result);
        return result;
    }

    @Test
    void whatIsNotSaidIsLeftToTheDefinition() throws Exception {
        run("move-start", "{'guest':'vm1','to':'hostB'}");
        assertThat(moves.asked).containsExactly("start vm1 " + MoveOperations.MoveWish.to("hostB"));
    }

    @Test
    void everyWishArrives() throws Exception {
        run("move-start", """
                {'guest':'vm1','to':'hostB','postcopy':'after-first-pass','preempt':true,'multifd-channels':2,'xbzrle':false,\
                'auto-converge':true,'downtime-limit':100,'max-downtime':900,'time-budget':5000,'max-bandwidth':7,\
                'max-postcopy-bandwidth':8,'keep-source':true,'retries':3}""");
        assertThat(moves.asked)
                .containsExactly("start vm1 "
                        + new MoveOperations.MoveWish(
                                "hostB",
                                MoveOperations.PostcopyUse.AFTER_FIRST_PASS,
                                true,
                                2,
                                false,
                                true,
                                100L,
                                900L,
                                5000L,
                                7L,
                                8L,
                                true,
                                3));
    }

    @Test
    void aCheckIsPossibleWithWarningsOnly() throws Exception {
        moves.problems = List.of(new MoveOperations.Problem("certificate", false, "ends soon"));
        assertThat(run("move-check", "{'guest':'vm1','to':'b'}").get("possible").booleanValue())
                .isTrue();
        moves.problems = List.of(new MoveOperations.Problem("memory", true, "too little"));
        JsonNode check = run("move-check", "{'guest':'vm1','to':'b'}");
        assertThat(check.get("possible").booleanValue()).isFalse();
        assertThat(check.get("problems").get(0).get("severity").textValue()).isEqualTo("error");
    }

    @ParameterizedTest(name = "{0} {1}")
    @CsvSource(delimiter = '|', textBlock = """
            move-start  | {'guest':'vm1'}                                | Parameter 'to' is missing
            move-start  | {'guest':'vm1','to':'b','postcopy':'maybe'}    | Parameter 'postcopy' does not accept value 'maybe'
            move-start  | {'guest':'vm1','to':'b','multifd-channels':65} | Parameter 'multifd-channels' expects a number from 0 to 64
            move-start  | {'guest':'vm1','to':'b','retries':-1}          | Parameter 'retries' expects a number from 0 to 100
            move-start  | {'guest':'vm1','to':'b','argv':'x'}            | Parameter 'argv' is unexpected
            move-rescue | {'guest':'vm1','kind':'wish'}                  | Parameter 'kind' does not accept value 'wish'
            move-show   | {'guest':'vm2'}                                | guest 'vm2' was not moved since this daemon started
            move-cancel | {'guest':'vm2'}                                | guest 'vm2' is not being moved from here
            report-show | {'id':'nope'}                                  | there is no report 'nope'
            """)
    void whatIsWrongIsSaid(String name, String arguments, String message) {
        assertThatThrownBy(() -> run(name, arguments))
                .isInstanceOf(CommandException.class)
                .hasMessage(message);
    }

    @Test
    void movesAreShownByTheirType() throws Exception {
        assertThat(run("move-list", "{}")
                        .get(0)
                        .get("progress")
                        .get("remaining")
                        .longValue())
                .isEqualTo(3);
        assertThat(run("move-show", "{'guest':'vm1'}").get("qemu-status").textValue())
                .isEqualTo("active");
    }

    @Test
    void adminsMayRescueAndReclaim() throws Exception {
        run("move-rescue", "{'guest':'vm1','kind':'drain'}");
        run("move-reclaim", "{'guest':'vm1','force':true}");
        assertThat(moves.asked).containsExactly("rescue vm1 DRAIN", "reclaim vm1 true");
        assertThat(commands.stream()
                        .filter(command -> command.needs() == Role.ADMINISTER)
                        .map(Command::name))
                .containsExactlyInAnyOrder("move-rescue", "move-reclaim");
    }

    @Test
    void reportsAreFoundByIdAndGuest() throws Exception {
        assertThat(run("report-show", "{'id':'5b2c'}").get("id").textValue()).isEqualTo("5b2c");
        assertThat(run("report-list", "{'guest':'vm1'}").get(0).get("guest").textValue())
                .isEqualTo("vm1");
    }
}
