package io.migrationd.migrationd.incoming;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.parked.ParkedGuest;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import java.util.Set;
import java.util.UUID;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Whole streams over a socket into a guest that knows its machine ({@code known}: machine type test-1.0, block m0 of
 * four pages, device cpu of versions 2 and 3) or into a parked one, which takes any.
 */
@DisplayName("Incoming stream")
class IncomingStreamTest {
    /** The pieces of a good stream; offsets of the first four: 0, 21, 35, 84. */
    private static final Map<String, String> PIECES = Map.of(
            "{head}", "5145564d 00000003 07 00000008 \"test-1.0\"",
            "{rp}", "08 0001 0000 08 0002 0004 00000001",
            "{ram}",
                    "01 00000001 03 \"ram\" 00000000 00000004 0000000000004004 02 \"m0\" 0000000000004000"
                            + " 0000000000000010 7e 00000001",
            "{part}", "02 00000001 0000000000001008 02 \"m0\" ab*4096 0000000000000010 7e 00000001",
            "{end}", "03 00000001 0000000000000010 7e 00000001",
            "{cpu}", "04 00000002 03 \"cpu\" 00000000 00000002 01020304 7e 00000002",
            "{eof}", "00 06 00000002 \"{}\"");

    private static final String GOOD = "{head} {rp} {ram} {part} {end} {cpu} {eof}";
    private static final String PONG = "0002 0004 00000001 ";
    private static final String SHUT_0 = "0001 0004 00000000";
    private static final String SHUT_1 = "0001 0004 00000001";
    private static final long BUDGET = 1 << 20;
    private static final UUID ID = UUID.fromString("12345678-9abc-def0-1122-334455667788");

    @TempDir
    private Path directory;

    private final RamBudget budget = new RamBudget(BUDGET);
    private final Links links = new Links(5_000, 5_000);
    private MemoryGuest known = new MemoryGuest("known");
    private ParkedGuest parked;

    @BeforeEach
    void open() throws IOException {
        known = new MemoryGuest("known").with("m0", 4).uuid(ID).incoming();
        parked = ParkedGuest.create("parked", directory.resolve("parked"), budget);
    }

    @AfterEach
    void close() {
        known.close();
        parked.close();
        links.close();
    }

    private static byte[] stream(String text) {
        String whole = text;
        for (Map.Entry<String, String> piece : PIECES.entrySet()) {
            whole = whole.replace(piece.getKey(), piece.getValue());
        }
        return bytes(whole);
    }

    private Guest guest(String kind) {
        return kind.equals("known") ? known : parked;
    }

    /** What a stream comes to: status, error and what was said to the source. */
    private record Outcome(String status, String error, byte[] reply) {}

    private Outcome migrate(Guest guest, byte[] stream) throws IOException, InterruptedException {
        try (Destination destination = new Destination(links, guest, directory, Set.of(Capability.XBZRLE));
                RawSource source = new RawSource(destination.uri())) {
            byte[] reply = source.send(stream).endOfInput().reply();
            destination.awaitEnd();
            return new Outcome(String.valueOf(destination.status()), String.valueOf(destination.error()), reply);
        }
    }

    private void assertNothingIsLeft(String why) throws ErrnoException {
        assertThat(parked.runState()).as(why).isEqualTo(RunState.INMIGRATE);
        assertThat(directory.resolve("parked/ram")).as(why).doesNotExist();
        assertThat(budget.leftBytes()).as(why).isEqualTo(BUDGET);
        assertThat(known.runState()).as(why).isEqualTo(RunState.INMIGRATE);
        assertThat(known.ram().getFirst().nextData(0)).as(why + ": all hole").isEqualTo(4 * 4096);
        assertThat(known.calls).as(why).doesNotContain("commit");
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        good, known                  | known  | {head} {rp} {ram} {part} {end} {cpu} {eof}
        good, parked                 | parked | {head} {rp} {ram} {part} {end} {cpu} {eof}
        name is a prefix             | known  | 5145564d 00000003 07 00000006 "test-1" {rp} {ram} {part} {end} {cpu} {eof}
        page bits said               | known  | {head} 05 1e "configuration/target-page-bits" 00000001 0000000c {rp} {ram} {part} {end} {cpu} {eof}
        capability of no concern     | known  | {head} 05 1a "configuration/capabilities" 00000001 00000001 06 "events" {rp} {ram} {part} {end} {cpu} {eof}
        uuid is ours                 | known  | {head} 05 12 "configuration/uuid" 00000001 123456789abcdef01122334455667788 {rp} {ram} {part} {end} {cpu} {eof}
        uuid, none here              | parked | {head} 05 12 "configuration/uuid" 00000001 0123456789abcdef0123456789abcdef {rp} {ram} {part} {end} {cpu} {eof}
        return path opened twice     | known  | {head} {rp} 08 0001 0000 {ram} {part} {end} {cpu} {eof}
        RESUME without postcopy      | known  | {head} {rp} {ram} 08 0009 0000 {part} {end} {cpu} {eof}
        RECV_BITMAP without recovery | known  | {head} {rp} {ram} 08 000a 0003 02 "m0" {part} {end} {cpu} {eof}
        SWITCHOVER_START             | known  | {head} {rp} {ram} {part} 08 000b 0000 {end} {cpu} {eof}
        empty part                   | known  | {head} {rp} {ram} 02 00000001 0000000000000010 7e 00000001 {part} {end} {cpu} {eof}
        part twice                   | known  | {head} {rp} {ram} {part} {part} {end} {cpu} {eof}
        no end of ram                | known  | {head} {rp} {ram} {part} {cpu} {eof}
        end of ram twice             | known  | {head} {rp} {ram} {part} {end} {cpu} {end} {eof}
        block list again             | known  | {head} {rp} {ram} 02 00000001 0000000000004004 02 "m0" 0000000000004000 0000000000000010 7e 00000001 {part} {end} {cpu} {eof}
        device before ram            | known  | {head} {rp} {cpu} {ram} {part} {end} {eof}
        device twice, last counts    | known  | {head} {rp} {ram} {part} {end} 04 00000002 03 "cpu" 00000000 00000002 09090909 7e 00000002 {cpu} {eof}
        newer device                 | known  | {head} {rp} {ram} {part} {end} 04 00000002 03 "cpu" 00000000 00000003 01020304 7e 00000002 {eof}
        page, zero, page             | known  | {head} {rp} {ram} {part} 02 00000001 0000000000001002 02 "m0" 00 0000000000000010 7e 00000001 {part} {end} {cpu} {eof}
        delta to the same            | known  | {head} {rp} {ram} {part} 02 00000001 0000000000001060 01 0003 00 01 ab 0000000000000010 7e 00000001 {end} {cpu} {eof}
        no footers                   | known  | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 0000000000004004 02 "m0" 0000000000004000 0000000000000010 02 00000001 0000000000001008 02 "m0" ab*4096 0000000000000010 04 00000002 03 "cpu" 00000000 00000002 01020304 00
        no description               | known  | {head} {rp} {ram} {part} {end} {cpu} 00
        no description               | parked | {head} {rp} {ram} {part} {end} {cpu} 00
        something else behind        | known  | {head} {rp} {ram} {part} {end} {cpu} 00 07 00000002 "{}"
        description is cut           | known  | {head} {rp} {ram} {part} {end} {cpu} 00 06 00000009 "{}"
        its length is cut            | known  | {head} {rp} {ram} {part} {end} {cpu} 00 06 0000
        its length is absurd         | known  | {head} {rp} {ram} {part} {end} {cpu} 00 06 ffffffff "{}"
        description is no JSON       | known  | {head} {rp} {ram} {part} {end} {cpu} 00 06 00000003 ffff00
        """)
    void isAccepted(String what, String kind, String text) throws IOException, InterruptedException {
        Outcome outcome = migrate(guest(kind), stream(text));

        assertThat(outcome.error()).as(what).isEqualTo("null");
        assertThat(outcome.status()).isEqualTo("completed");
        assertThat(outcome.reply()).isEqualTo(bytes(PONG + SHUT_0));
        assertThat(MemoryGuest.contents(guest(kind).ram().getFirst())).isEqualTo(bytes("00*4096 ab*4096 00*8192"));
        assertThat(guest(kind).saveDevices())
                .singleElement()
                .satisfies(d -> assertThat(d.body()).isEqualTo(bytes("01020304")));
    }

    /** Nothing may come before the return path is open, so nothing is said to the source. */
    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        nothing at all             | known  | ``                                                   | header.magic at offset 0: expected 4 bytes, got end of input after 0 bytes
        not a stream               | known  | "GET / HTTP/1.1"                                     | header.magic at offset 0: expected 0x5145564d ("QEVM", a migration stream), got 0x47455420
        a multifd channel          | known  | 11223344 00000001 00*20                              | header.magic at offset 0: expected 0x5145564d ("QEVM", a migration stream), got 0x11223344
        version 2                  | known  | 5145564d 00000002                                    | header.version at offset 4: expected version 3, got version 2, a format that is obsolete and not read any more
        version 4                  | known  | 5145564d 00000004                                    | header.version at offset 4: expected version 3, got version 4, which is not supported
        no configuration           | known  | 5145564d 00000003 01 00000001                        | configuration.type at offset 8: expected 0x07, a configuration section (or both ends with send-configuration off), got 0x01
        machine name of 4 GiB      | known  | 5145564d 00000003 07 ffffffff                        | configuration.machine-type.length at offset 9: expected 1 to 255 bytes, got 4294967295 bytes
        machine type differs       | known  | 5145564d 00000003 07 00000008 "test-2.0" {rp} {ram}  | configuration.machine-type at offset 9: expected test-1.0, got test-2.0
        name longer than ours      | known  | 5145564d 00000003 07 00000009 "test-1.0x" {rp} {ram} | configuration.machine-type at offset 9: expected test-1.0, got test-1.0x
        page bits differ           | known  | {head} 05 1e "configuration/target-page-bits" 00000001 0000000d | configuration/target-page-bits at offset 21: expected guest pages of 4096 bytes, got 8192 bytes
        page bits out of range     | parked | {head} 05 1e "configuration/target-page-bits" 00000001 00000020 | configuration/target-page-bits at offset 57: expected 10 to 16, got 32
        unknown capability         | parked | {head} 05 1a "configuration/capabilities" 00000001 00000001 05 "magic" {rp} | configuration/capabilities at offset 21: expected the same validated capabilities on both sides, got unknown capability 'magic'
        ignore-shared there only   | parked | {head} 05 1a "configuration/capabilities" 00000001 00000001 0f "x-ignore-shared" {rp} | configuration/capabilities at offset 21: expected the same validated capabilities on both sides, got x-ignore-shared on at the source only
        uuid differs               | known  | {head} 05 12 "configuration/uuid" 00000001 ff3456789abcdef01122334455667788 {rp} | configuration/uuid at offset 21: expected uuid 12345678-9abc-def0-1122-334455667788, got ff345678-9abc-def0-1122-334455667788
        unknown subsection         | known  | {head} 05 13 "configuration/magic" 00000001 {rp}     | configuration.subsection at offset 21: expected target-page-bits, capabilities or uuid, got unknown subsection 'configuration/magic'
        PING without return path   | known  | {head} 08 0002 0004 00000001                         | command PING at offset 21: expected OPEN_RETURN_PATH before, got PING 1 without return path
        """)
    void isRefusedBeforeTheReturnPathIsOpen(String what, String kind, String text, String message)
            throws IOException, InterruptedException {
        Outcome outcome = migrate(guest(kind), stream(text));

        assertThat(outcome.error()).as(what).isEqualTo(message);
        assertThat(outcome.status()).isEqualTo("failed");
        assertThat(outcome.reply()).isEmpty();
        assertNothingIsLeft(what);
        assertGoodOneWorks(kind);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        SUBSECTION in the loop     | known  | {head} {rp} {ram} 05           | element.type at offset 84: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x05 (SUBSECTION, legal inside device state only)
        VMDESCRIPTION in the loop  | known  | {head} {rp} {ram} 06           | element.type at offset 84: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x06 (VMDESCRIPTION, legal after EOF only)
        CONFIGURATION in the loop  | known  | {head} {rp} {ram} 07           | element.type at offset 84: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x07 (CONFIGURATION, legal after the header only)
        footer in the loop         | known  | {head} {rp} {ram} 7e 00000001  | element.type at offset 84: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x7e (SECTION_FOOTER, legal after a section only)
        unknown element            | known  | {head} {rp} {ram} 09           | element.type at offset 84: expected 0x00 (EOF), 0x01 to 0x04 (START, PART, END, FULL) or 0x08 (COMMAND), got 0x09
        empty idstr                | known  | {head} {rp} 01 00000001 00 00000000 00000004 | section.idstr at offset 40: expected a name of 1 to 255 bytes, got an empty one
        unknown iterable, parked   | parked | {head} {rp} 01 00000001 05 "block" 00000000 00000001 | section 'block' at offset 35: expected a section of this guest (ram, globalstate), got an unknown one, instance 0
        unknown device             | known  | {head} {rp} {ram} 04 00000003 03 "rtc" 00000000 00000001 | section 'rtc' at offset 84: expected a section of this guest (ram, cpu, globalstate), got an unknown one, instance 0
        unknown instance           | known  | {head} {rp} {ram} 04 00000003 03 "cpu" 00000001 00000002 | section 'cpu' at offset 84: expected a section of this guest (ram, cpu, globalstate), got an unknown one, instance 1
        ram too new                | parked | {head} {rp} 01 00000001 03 "ram" 00000000 00000005 | section 'ram' version at offset 35: expected at most 4, got 5 (too new)
        ram too old                | parked | {head} {rp} 01 00000001 03 "ram" 00000000 00000003 | section 'ram' version at offset 35: expected at least 4, got 3 (too old)
        ram version of 2^32-1      | parked | {head} {rp} 01 00000001 03 "ram" 00000000 ffffffff | section 'ram' version at offset 35: expected at most 4, got 4294967295 (too new)
        device too new             | known  | {head} {rp} {ram} 04 00000002 03 "cpu" 00000000 00000004 01020304 7e 00000002 | section 'cpu' version at offset 84: expected at most 3, got 4 (too new)
        device too old             | known  | {head} {rp} {ram} 04 00000002 03 "cpu" 00000000 00000001 01020304 7e 00000002 | section 'cpu' version at offset 84: expected at least 2, got 1 (too old)
        PART without START         | known  | {head} {rp} {part}             | section.id at offset 35: expected a section that a START has introduced, got 1
        END without START          | parked | {head} {rp} {ram} 03 00000007  | section.id at offset 84: expected a section that a START has introduced, got 7
        PART for id 0              | known  | {head} {rp} 02 00000000        | section.id at offset 35: expected a section that a START has introduced, got 0
        PART of a device           | known  | {head} {rp} {ram} {cpu} 02 00000002 | section 'cpu' at offset 110: expected a part of an iterable section, got a device section's id
        missing footer             | known  | {head} {rp} {ram} {part} {end} 04 00000002 03 "cpu" 00000000 00000002 01020304 00 | section.footer of 'cpu' at offset 4248: expected 0x7e, the end of the section, got 0x00
        footer of another section  | known  | {head} {rp} {ram} {part} {end} 04 00000002 03 "cpu" 00000000 00000002 01020304 7e 00000001 | section.footer of 'cpu' at offset 4249: expected section id 2, got 1
        ram footer mismatch        | parked | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 0000000000004004 02 "m0" 0000000000004000 0000000000000010 7e 00000002 | section.footer of 'ram' at offset 80: expected section id 1, got 2
        command 0                  | known  | {head} {rp} 08 0000 0000       | command.number at offset 36: expected 1 to 11, got 0
        command 12                 | known  | {head} {rp} 08 000c 0000       | command.number at offset 36: expected 1 to 11, got 12
        PING of 3 bytes            | known  | {head} {rp} 08 0002 0003 000001 | command.ping.length at offset 38: expected 4 bytes, got 3 bytes
        OPEN_RETURN_PATH of 1 byte | known  | {head} {rp} 08 0001 0001 00    | command.open-return-path.length at offset 38: expected 0 bytes, got 1 bytes
        ADVISE                     | parked | {head} {rp} 08 0003 0010 0000000000001000 0000000000001000 | command POSTCOPY_ADVISE at offset 35: expected a command that is legal here (postcopy-ram is off here), got POSTCOPY_ADVISE
        ADVISE without sizes       | parked | {head} {rp} 08 0003 0000       | command POSTCOPY_ADVISE at offset 35: expected a command that is legal here (postcopy-ram is off here), got POSTCOPY_ADVISE
        ADVISE of 8 bytes          | parked | {head} {rp} 08 0003 0008 0000000000001000 | command.postcopy-advise.length at offset 38: expected 0 or 16 bytes, got 8 bytes
        LISTEN                     | parked | {head} {rp} {ram} 08 0004 0000 | command POSTCOPY_LISTEN at offset 84: expected a command that is legal here (it belongs into a package), got POSTCOPY_LISTEN
        RUN                        | parked | {head} {rp} {ram} 08 0005 0000 | command.postcopy-state at offset 84: expected a command that is legal in state NONE, got RUN: incoming postcopy: RUN is not possible in state NONE
        DISCARD                    | parked | {head} {rp} {ram} 08 0006 0015 00 02 "m0" 00 0000000000000000 0000000000001000 | command.postcopy-state at offset 84: expected a command that is legal in state NONE, got DISCARD: incoming postcopy: DISCARD is not possible in state NONE
        PACKAGED                   | parked | {head} {rp} {ram} 08 0007 0004 00000001 00 | command PACKAGED at offset 84: expected a command that is legal here (no POSTCOPY_ADVISE came before), got PACKAGED
        ENABLE_COLO                | parked | {head} {rp} {ram} 08 0008 0000 | command ENABLE_COLO at offset 84: expected a command that is legal here (x-colo is off here), got ENABLE_COLO
        RECV_BITMAP, unknown block | parked | {head} {rp} {ram} 08 000a 0003 02 "m9" | command RECV_BITMAP at offset 84: expected an announced block, got 'm9'
        RECV_BITMAP before ram     | parked | {head} {rp} 08 000a 0003 02 "m0" | command RECV_BITMAP at offset 35: expected an announced block, got 'm0'
        RECV_BITMAP, bad length    | parked | {head} {rp} {ram} 08 000a 0004 02 "m0" | command.recv-bitmap.length at offset 87: expected 3 bytes, 1 + name, got 4 bytes
        no ram at all              | parked | {head} {rp} {cpu} {eof}        | section.ram at offset 61: expected a ram section before the end, got none
        ram without blocks         | parked | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 0000000000000010 7e 00000001 {eof} | section.ram at offset 65: expected a ram section before the end, got none
        page before the block list | parked | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 0000000000000002 02 "m0" 00 | ram.block at offset 60: expected the block list first, got 'm0'
        page of an unknown block   | known  | {head} {rp} {ram} 02 00000001 0000000000000002 02 "m9" 00 | ram.block at offset 97: expected an announced block, got 'm9'
        page behind the block      | known  | {head} {rp} {ram} {part} 02 00000001 0000000000004022 00 | ram.offset at offset 4214: expected an offset below 0x4000, got 0x4000
        bad delta                  | known  | {head} {rp} {ram} {part} 02 00000001 0000000000001060 01 0003 00 02 ab | ram.xbzrle.run at offset 4226: expected 1 to 1 bytes, got 2
        unknown block              | known  | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 0000000000001004 02 "m9" 0000000000001000 | ram.blocks at offset 60: expected a block of [m0], got m9 of 4096
        block of another length    | known  | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 0000000000001004 02 "m0" 0000000000001000 | ram.blocks at offset 60: expected a block of [m0], got m0 of 4096
        block list changes         | parked | {head} {rp} {ram} 02 00000001 0000000000001004 02 "m0" 0000000000001000 | ram.blocks.length at offset 97: expected 0x4000 as announced before for 'm0', got 0x1000
        more ram than the host has | parked | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 0000000000101004 02 "m0" 0000000000100000 02 "m1" 0000000000001000 | ram.blocks.length at offset 71: expected at most 0 bytes, what is left of limits.max-parked-ram-bytes, got 4096 bytes for 'm1'
        2^62 bytes of ram          | parked | {head} {rp} 01 00000001 03 "ram" 00000000 00000004 4000000000000004 02 "m0" 4000000000000000 | ram.blocks.length at offset 60: expected at most 1048576 bytes, what is left of limits.max-parked-ram-bytes, got 4611686018427387904 bytes for 'm0'
        unknown run state          | known  | {head} {rp} {ram} {part} {end} 04 00000003 0b "globalstate" 00000000 00000001 00000008 "flying" 00*26 00*68 7e 00000003 {cpu} {eof} | globalstate at offset 4252: expected a state that the post-load hook accepts, got a refusal: globalstate: unknown run state 'flying'
        device is missing          | known  | {head} {rp} {ram} {part} {end} {eof} | guest known needs one cpu, 0 came
        """)
    void isRefused(String what, String kind, String text, String message) throws IOException, InterruptedException {
        Outcome outcome = migrate(guest(kind), stream(text));

        assertThat(outcome.error()).as(what).isEqualTo(message);
        assertThat(outcome.status()).isEqualTo("failed");
        assertThat(outcome.reply()).isEqualTo(bytes(PONG + SHUT_1));
        assertNothingIsLeft(what);
        assertGoodOneWorks(kind);
    }

    private void assertGoodOneWorks(String kind) throws IOException, InterruptedException {
        Outcome second = migrate(guest(kind), stream(GOOD));

        assertThat(second.error()).isEqualTo("null");
        assertThat(second.status()).as("the same stream without damage").isEqualTo("completed");
    }

    /** Every byte but those within the page: cut behind it, the stream is no longer one. */
    @ParameterizedTest
    @CsvSource({"known", "parked"})
    void isRefusedWhereverItIsCut(String kind) throws IOException, InterruptedException {
        byte[] whole = stream("{head} {rp} {ram} {part} {end} {cpu}");
        for (int length = 0; length <= whole.length; length++) {
            if (length > 101 && length < 101 + 4094) {
                continue;
            }
            Outcome outcome = migrate(guest(kind), Arrays.copyOf(whole, length));

            String why = "cut at " + length;
            assertThat(outcome.status()).as(why).isEqualTo("failed");
            assertThat(outcome.error()).as(why).contains("got end of input");
            assertThat(outcome.reply())
                    .as(why)
                    .isEqualTo(bytes(length < 26 ? "" : length < 35 ? SHUT_1 : PONG + SHUT_1));
            assertNothingIsLeft(why);
        }
        assertGoodOneWorks(kind);
    }

    @Test
    void deltasAreRefusedWithoutTheCapability() throws IOException, InterruptedException {
        try (Destination destination = new Destination(links, parked, directory, Set.of());
                RawSource source = new RawSource(destination.uri())) {
            source.send(stream("{head} {rp} {ram} 02 00000001 0000000000000040 02 \"m0\" 01 0000"))
                    .endOfInput()
                    .reply();

            assertThat(destination.awaitEnd().error())
                    .isEqualTo("ram.flags at offset 89: expected no delta page, xbzrle is off, got XBZRLE");
        }
        assertNothingIsLeft("delta");
    }

    @Test
    void withoutReturnPathNothingIsSaid() throws IOException, InterruptedException {
        Outcome good = migrate(known, stream("{head} {ram} {part} {end} {cpu} {eof}"));
        Outcome bad = migrate(parked, stream("{head} {ram} {part} {end} 09"));

        assertThat(good.status()).isEqualTo("completed");
        assertThat(good.reply()).isEmpty();
        assertThat(bad.status()).isEqualTo("failed");
        assertThat(bad.reply()).isEmpty();
    }

    @Test
    void theRunStateIsTakenFromGlobalstate() throws IOException, InterruptedException {
        String paused = "04 00000003 0b \"globalstate\" 00000000 00000001 00000007 \"paused\" 00*26 00*68 7e 00000003";

        migrate(known, stream("{head} {rp} {ram} {part} {end} {cpu} " + paused + " {eof}"));

        assertThat(known.runState()).isEqualTo(RunState.PAUSED);
    }
}
