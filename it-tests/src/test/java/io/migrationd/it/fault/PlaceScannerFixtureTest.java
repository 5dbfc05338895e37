package io.migrationd.it.fault;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import java.util.function.BiFunction;
import java.util.function.Consumer;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Where the places of streams captured from QEMU lie. */
@DisplayName("Places in captured streams")
class PlaceScannerFixtureTest {
    private final PageTally tally = new PageTally();

    private static byte[] capture(String name) throws IOException {
        try (InputStream in = PlaceScannerFixtureTest.class.getResourceAsStream("/fixtures/" + name + ".gz")) {
            assertThat(in).as(name).isNotNull();
            return new GZIPInputStream(in).readAllBytes();
        }
    }

    /** Each place as "PLACE ordinal@offset", in pieces of {@code pieceBytes}. */
    private List<String> scan(
            byte[] stream, int pieceBytes, BiFunction<PageTally, Consumer<Mark>, ? extends ByteScanner> scanner) {
        List<String> found = new ArrayList<>();
        ByteScanner scans = scanner.apply(
                tally, mark -> found.add("%s %d@%d".formatted(mark.place(), mark.ordinal(), mark.offset())));
        for (int at = 0; at < stream.length; at += pieceBytes) {
            scans.scan(ByteBuffer.wrap(stream, at, Math.min(pieceBytes, stream.length - at))
                    .asReadOnlyBuffer());
        }
        return found;
    }

    @ParameterizedTest(name = "pieces of {0} bytes")
    @ValueSource(ints = {1, 7, 65536, 10_000_000})
    void findsEveryPlaceOfAMigrationWithPreempt(int pieceBytes) throws IOException {
        assertThat(scan(capture("preempt-10.0.main.fwd"), pieceBytes, MainScanner::ofFirst))
                .containsExactly(
                        "HEADER 1@8",
                        "CONFIGURATION 1@27",
                        "OPEN_RETURN_PATH 1@32",
                        "PING_START 1@41",
                        "ADVISE 1@62",
                        "RAM_START 1@232",
                        "PRECOPY_PART 1@267521",
                        "PRECOPY_PART 2@530195",
                        "PRECOPY_PART 3@792869",
                        "PRECOPY_PART 4@895888",
                        "PRECOPY_PART 5@1027241",
                        "DISCARD 1@1027292",
                        "PING_DISCARDED 1@1027301",
                        "PACKAGED 1@1027310",
                        "PACKAGE_MIDDLE 1@1033748",
                        "PACKAGE_BUT_LAST 1@1040185",
                        "PACKAGE 1@1040186",
                        "PING_LISTENING 1@1040195",
                        "FIRST_PAGE 1@1044311",
                        "IN_PAGE_HEADER 1@1044315",
                        "IN_PAGE 1@1049423",
                        "RAM_END 1@1171566",
                        "EOF 1@1171567");
        assertThat(tally.dirtyPages()).isEqualTo(208);
        assertThat(scan(capture("preempt-10.0.preempt.fwd"), pieceBytes, PreemptScanner::new))
                .containsExactly(
                        "PREEMPT_FIRST_PAGE 1@4111",
                        "PREEMPT_IN_PAGE_HEADER 1@4115",
                        "PREEMPT_IN_PAGE 1@9223",
                        "MIDDLE_PAGE 1@229975",
                        "LAST_BUT_ONE_PAGE 1@652687",
                        "LAST_PAGE 1@656791");
        assertThat(scan(capture("preempt-10.0.main.rev"), pieceBytes, ReturnPathScanner::new))
                .hasSize(2 + 176 + 2)
                .startsWith("PONG_START 1@8", "PONG_DISCARDED 1@16", "REQUEST 1@55", "REQUEST 2@71")
                .endsWith("REQUEST 176@2855", "BEFORE_SHUT 1@2855", "SHUT 1@2863");
    }

    @ParameterizedTest(name = "pieces of {0} bytes")
    @ValueSource(ints = {1, 7, 65536, 10_000_000})
    void findsEveryPlaceOfARecovery(int pieceBytes) throws IOException {
        assertThat(scan(capture("recover-10.0.second.main.fwd"), pieceBytes, MainScanner::ofRecovery))
                .containsExactly(
                        "RECV_BITMAP 1@12",
                        "RECV_BITMAP 2@38",
                        "RECV_BITMAP 3@50",
                        "RECV_BITMAP 4@63",
                        "RECV_BITMAP 5@90",
                        "RECV_BITMAP 6@114",
                        "RESUME 1@119",
                        "RESUMED_PAGE 1@4235",
                        "IN_PAGE_HEADER 1@4239",
                        "IN_PAGE 1@9347",
                        "RAM_END 1@4924980",
                        "EOF 1@4924981");
        assertThat(scan(capture("recover-10.0.second.main.rev"), pieceBytes, ReturnPathScanner::new))
                .startsWith("IN_BITMAP 1@147", "BITMAP 1@283", "IN_BITMAP 2@320", "BITMAP 2@332")
                .endsWith("BITMAP 6@500", "RESUME_ACK 1@508", "BEFORE_SHUT 1@508", "SHUT 1@516");
    }

    /** A scanner that does not understand must not throw either: the bytes are to pass as they are. */
    @Test
    void bytesThatAreNoStreamHaveNoPlaces() {
        byte[] noise = new byte[100_000];
        new SplittableRandom(1).nextBytes(noise);
        noise[0] = 0x08;
        assertThat(scan(noise, 100, MainScanner::ofRecovery)).isEmpty();
        assertThat(scan(noise, 100, PreemptScanner::new)).isEmpty();
        assertThat(scan(noise, 100, MainScanner::ofFirst)).containsExactly("HEADER 1@8");
    }
}
