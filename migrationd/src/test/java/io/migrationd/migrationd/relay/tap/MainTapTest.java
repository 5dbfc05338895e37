package io.migrationd.migrationd.relay.tap;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import io.migrationd.protocol.stream.Command;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Random;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Tap of a main channel")
class MainTapTest {
    private static MainTap feed(byte[] bytes) {
        MainTap tap = new MainTap();
        tap.accept(ByteBuffer.wrap(bytes));
        return tap;
    }

    @Test
    void aPassEndsWhereTheScanFallsBack() {
        StreamBuilder stream = new StreamBuilder().header().ramStart(8, 4);
        stream.part().page(0, 0).page(0, 3).zero(0, 7).page(1, 2).endRam();
        // Behind block 1 comes block 0 again: a new pass, though within the same PART.
        stream.part().page(1, 3).page(0, 2).endRam();
        stream.part().page(0, 5).page(0, 5).endRam();
        stream.end().page(0, 1).page(1, 0).endRam();
        MainTap tap = feed(stream.bytes());
        assertEquals(
                List.of("1 4 full 1 zero", "2 2 full 0 zero", "3 1 full 0 zero", "4 2 full 0 zero last"),
                tap.passes().stream()
                        .map(pass -> "%d %d full %d zero%s"
                                .formatted(
                                        pass.number(),
                                        pass.pages().full(),
                                        pass.pages().zero(),
                                        pass.last() ? " last" : ""))
                        .toList());
    }

    @Test
    void aFlushOfMultifdEndsAPass() {
        StreamBuilder stream = new StreamBuilder().header().ramStart(8);
        stream.part()
                .flush()
                .endRam()
                .part()
                .endRam()
                .part()
                .flush()
                .endRam()
                .end()
                .flush()
                .endRam();
        MainTap tap = feed(stream.bytes());
        assertEquals(4, tap.passes().size());
        assertTrue(tap.passes().getLast().last());
    }

    @Test
    void marksAreToldWhenTheyPass() {
        List<String> heard = new ArrayList<>();
        TapEvents events = new TapEvents() {
            @Override
            public void mark(Mark mark, long offset, long value) {
                heard.add(mark + "@" + offset + (value == 0 ? "" : "=" + value));
            }

            @Override
            public void passEnded(Pass pass) {
                heard.add("pass " + pass.number());
            }
        };
        StreamBuilder stream = new StreamBuilder().header();
        int open = stream.length();
        stream.command(new Command.OpenReturnPath());
        int ping = stream.length();
        stream.command(new Command.Ping(1));
        int start = stream.length();
        stream.ramStart(4);
        int part = stream.length();
        stream.part().page(0, 0).endRam();
        int end = stream.length();
        stream.end().endRam();
        stream.device(1, "timer", new byte[] {1, 2, 3});
        int eof = stream.length();
        stream.endOfStream();
        stream.out.writeU8(6).writeInt(2).writeBytes(new byte[] {'{', '}'});
        MainTap tap = new MainTap(new StreamKeeper(), events);
        tap.accept(ByteBuffer.wrap(stream.bytes()));
        assertEquals(
                List.of(
                        "OPEN_RETURN_PATH@" + open,
                        "PING@" + ping + "=1",
                        "RAM_START@" + start,
                        "FIRST_PART@" + part,
                        "SWITCHOVER@" + end,
                        "pass 1",
                        "EOF@" + eof,
                        "pass 2",
                        "DESCRIPTION_END@" + stream.length()),
                heard);
        assertEquals(TapState.ENDED, tap.status().state());
        tap.accept(ByteBuffer.wrap(new byte[] {0}));
        assertEquals(TapState.LOST, tap.status().state());
        assertEquals(1, tap.status().unparsedBytes());
    }

    @Test
    void aFooterInsideOfADeviceIsNotItsEnd() {
        byte[] body = {1, 0x7E, 0, 0, 0, 5, 9, 0x7E, 0x7E, 0, 0, 0, 5, 8, 0, 12, 0, 0};
        StreamBuilder stream =
                new StreamBuilder().header().ramStart(4).part().endRam().end().endRam();
        stream.device(5, "x", body).device(6, "y", body).endOfStream();
        stream.out.writeU8(6).writeInt(2).writeBytes(new byte[] {'{', '}'});
        MainTap tap = Captures.feed(new MainTap(), stream.bytes(), new Random(1), 1);
        assertEquals(TapState.ENDED, tap.status().state(), tap.status().toString());
        assertEquals(2, tap.sections(4));
    }

    @Test
    void aStreamWithoutDescriptionMayHaveEnded() {
        StreamBuilder stream =
                new StreamBuilder().header().ramStart(4).part().endRam().end().endRam();
        stream.device(5, "x", new byte[9]);
        MainTap tap = feed(stream.bytes());
        assertFalse(tap.mayHaveEnded());
        tap.accept(ByteBuffer.wrap(new byte[] {0}));
        assertTrue(tap.mayHaveEnded());
        assertEquals(OptionalLong.empty(), tap.first(Mark.EOF));
        tap.finish();
        assertEquals(OptionalLong.of(stream.length()), tap.first(Mark.EOF));
        assertEquals(TapState.ENDED, tap.status().state());
    }

    @Test
    void troubleInThePackageDoesNotLoseTheRest() {
        StreamBuilder inner = new StreamBuilder().command(new Command.PostcopyListen());
        inner.out
                .writeU8(4)
                .writeInt(9)
                .writeName("dev")
                .writeInt(0)
                .writeInt(1)
                .writeBytes(new byte[100]);
        byte[] packaged = inner.bytes();
        StreamBuilder stream =
                new StreamBuilder().header().ramStart(8).part().page(0, 0).endRam();
        stream.command(new Command.PostcopyRamDiscard("b0", List.of(new Command.Range(4096, 4096))));
        stream.command(new Command.Packaged(packaged.length)).out.writeBytes(packaged);
        int packageEnd = stream.length();
        stream.command(new Command.Ping(4))
                .part()
                .page(0, 3)
                .page(0, 1)
                .endRam()
                .end()
                .endRam()
                .endOfStream();
        for (int most : new int[] {1, 50, 10_000}) {
            MainTap tap = Captures.feed(new MainTap(), stream.bytes(), new Random(most), most);
            assertEquals(TapState.ENDED, tap.status().state(), tap.status().toString());
            assertTrue(tap.packageTrouble().isPresent());
            assertEquals(OptionalLong.of(packageEnd), tap.first(Mark.PACKAGE_END));
            assertEquals(2, tap.postcopyPages().full());
            assertEquals(1, tap.passes().size());
            assertTrue(tap.status().unparsedBytes() <= 100);
            assertArrayEquals(packaged, tap.keeper().packaged().orElseThrow());
        }
    }

    @Test
    void keepsWhatARescueNeeds() {
        StreamBuilder stream = new StreamBuilder().header();
        byte[] header = stream.bytes();
        stream.command(new Command.OpenReturnPath()).command(new Command.Ping(1));
        byte[] early = new StreamBuilder().device(2, "early", new byte[20]).bytes();
        stream.out.writeBytes(early);
        int start = stream.length();
        stream.ramStart(8);
        byte[] setup = Arrays.copyOfRange(stream.bytes(), start, stream.length());
        byte[] early2 = new StreamBuilder().device(3, "early2", new byte[30]).bytes();
        stream.out.writeBytes(early2);
        stream.part().page(0, 0).endRam().end().endRam().device(4, "late", new byte[40]);
        MainTap tap = Captures.feed(new MainTap(), stream.bytes(), new Random(3), 17);
        byte[] prologue = new StreamBuilder()
                .out
                .writeBytes(header)
                .writeBytes(early)
                .writeBytes(early2)
                .toByteArray();
        assertArrayEquals(prologue, tap.keeper().prologue().orElseThrow());
        assertArrayEquals(setup, tap.keeper().ramSetup().orElseThrow());
        assertEquals(Optional.empty(), tap.keeper().packaged());
        assertEquals(Optional.empty(), tap.keeper().notKept());
        tap.keeper().release();
        assertEquals(0, tap.keeper().heldBytes());
        assertEquals(Optional.empty(), tap.keeper().ramSetup());
    }

    @Test
    void whatIsOverTheBoundIsNotKept() {
        byte[] packaged = new byte[300];
        StreamBuilder stream = new StreamBuilder().header().ramStart(8).part().endRam();
        stream.command(new Command.Packaged(packaged.length)).out.writeBytes(packaged);
        MainTap tap = new MainTap(new StreamKeeper(40, 299), TapEvents.NONE);
        tap.accept(ByteBuffer.wrap(stream.bytes()));
        assertEquals(Optional.empty(), tap.keeper().ramSetup());
        assertEquals(Optional.empty(), tap.keeper().packaged());
        assertTrue(tap.keeper().prologue().isPresent());
        assertEquals(
                "the RAM setup is over the bound of 40 bytes",
                tap.keeper().notKept().orElseThrow());
        assertTrue(tap.keeper().heldBytes() <= 40);
        MainTap roomy = new MainTap(new StreamKeeper(100, 300), TapEvents.NONE);
        roomy.accept(ByteBuffer.wrap(stream.bytes()));
        assertArrayEquals(packaged, roomy.keeper().packaged().orElseThrow());
    }

    @Test
    void aListenerThatThrowsDoesNotStopTheStream() {
        TapEvents events = new TapEvents() {
            @Override
            public void mark(Mark mark, long offset, long value) {
                throw new IllegalStateException("a listener's bug");
            }
        };
        MainTap tap = new MainTap(new StreamKeeper(), events);
        tap.accept(ByteBuffer.wrap(new StreamBuilder().header().ramStart(4).bytes()));
        assertTrue(tap.status().reason().orElseThrow().contains("a listener's bug"));
    }
}
