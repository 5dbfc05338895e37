package io.migrationd.migrationd;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.migrationd.migrationd.guest.DeviceSection;
import io.migrationd.migrationd.guest.Guest;
import io.migrationd.migrationd.guest.MemoryGuest;
import io.migrationd.migrationd.guest.RecordedEvents;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.parked.ParkedGuest;
import io.migrationd.migrationd.guest.parked.RamBudget;
import io.migrationd.migrationd.incoming.Destination;
import io.migrationd.migrationd.link.Links;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.outgoing.OutgoingMigration;
import io.migrationd.migrationd.outgoing.OutgoingRequest;
import io.migrationd.migrationd.session.Capability;
import io.migrationd.migrationd.session.MigrationInfo;
import io.migrationd.migrationd.session.MigrationParameters;
import io.migrationd.migrationd.session.PostcopyPolicy;
import io.migrationd.migrationd.session.RecoverySettings;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.postcopy.os.ErrnoException;
import java.io.IOException;
import java.io.InputStream;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Objects;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import java.util.zip.GZIPInputStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Both engines over real sockets in one process: what arrives is what was sent. */
@DisplayName("Precopy")
class PrecopyTest {
    private static final long BUDGET = 256L << 20;

    @TempDir
    private Path directory;

    private final Links links = new Links(5_000, 20_000);
    private final RamBudget budget = new RamBudget(BUDGET);
    private volatile MigrationParameters parameters = MigrationParameters.DEFAULTS;

    @AfterEach
    void close() {
        links.close();
    }

    private ParkedGuest park(String name) throws IOException {
        return ParkedGuest.create(name, directory.resolve(name), budget);
    }

    private static Set<Capability> capabilities(String names) {
        return names.isEmpty()
                ? Set.of()
                : Stream.of(names.split(" "))
                        .map(n -> Capability.named(n).orElseThrow())
                        .collect(Collectors.toSet());
    }

    private MigrationInfo migrate(Guest source, Guest target, Set<Capability> capabilities, String uri)
            throws IOException, InterruptedException {
        try (Destination destination =
                        new Destination(links, target, MigrationUri.parse(uri), capabilities, 10_000, () -> {});
                OutgoingMigration outgoing = new OutgoingMigration(new OutgoingRequest(
                        "t",
                        source,
                        destination.uri(),
                        links,
                        capabilities,
                        () -> parameters,
                        new RecordedEvents(),
                        10_000,
                        RecoverySettings.DEFAULTS,
                        () -> {}))) {
            outgoing.start();
            assertThat(outgoing.awaitEnd(50_000))
                    .as("source ends, is %s", outgoing.status())
                    .isTrue();
            destination.awaitEnd();
            assertThat(destination.error()).isNull();
            assertThat(outgoing.info().errorDesc()).isNull();
            assertThat(outgoing.info().status()).isEqualTo("completed");
            return outgoing.info();
        }
    }

    private String unix() {
        return "unix:" + directory.resolve("m.sock");
    }

    private static void assertSameRam(Guest actual, Guest expected) throws ErrnoException {
        assertThat(actual.ram())
                .extracting(RamBlock::name)
                .containsExactlyElementsOf(
                        expected.ram().stream().map(RamBlock::name).toList());
        for (int i = 0; i < expected.ram().size(); i++) {
            assertThat(MemoryGuest.contents(actual.ram().get(i)))
                    .as(expected.ram().get(i).name())
                    .isEqualTo(MemoryGuest.contents(expected.ram().get(i)));
        }
    }

    @ParameterizedTest(name = "{0}, capabilities: {1}")
    @CsvSource(delimiter = '|', textBlock = """
        unix | ''
        unix | return-path
        unix | return-path switchover-ack
        unix | return-path xbzrle
        unix | return-path validate-uuid
        tcp  | ''
        tcp  | return-path
        """)
    void aParkedGuestMovesToAnother(String transport, String names) throws IOException, InterruptedException {
        String uri = transport.equals("tcp") ? "tcp:127.0.0.1:0" : unix();
        try (MemoryGuest origin = new MemoryGuest("o").with("pc.ram", 600).with("pc.bios", 16);
                ParkedGuest first = park("first");
                ParkedGuest second = park("second")) {
            origin.randomize("pc.ram", 1);
            origin.randomize("pc.bios", 2);
            migrate(origin.paused(), first, Set.of(), unix());

            migrate(first, second, capabilities(names), uri);

            assertSameRam(second, origin);
            assertThat(first.runState()).isEqualTo(RunState.POSTMIGRATE);
            assertThat(second.runState()).isEqualTo(RunState.PAUSED);
            assertThat(second.machineType()).contains("test-1.0");
            assertThat(second.saveDevices()).extracting(DeviceSection::idstr).containsExactly("cpu", "globalstate");
            assertThat(second.saveDevices().getFirst().body()).isEqualTo(origin.cpu());
            assertThat(second.saveDevices().getFirst().version()).isEqualTo(2);
        }
    }

    /** Once more from the files that the first daemon left. */
    @Test
    void aParkedGuestMovesOnAfterARestart() throws IOException, InterruptedException {
        try (MemoryGuest origin = new MemoryGuest("o").with("pc.ram", 64);
                MemoryGuest target = new MemoryGuest("t").with("pc.ram", 64).incoming()) {
            origin.randomize("pc.ram", 1);
            try (ParkedGuest parked = park("p")) {
                migrate(origin, parked, Set.of(Capability.RETURN_PATH), unix());
            }
            try (ParkedGuest again = ParkedGuest.open("p", directory.resolve("p"), budget)) {
                migrate(again, target, Set.of(Capability.RETURN_PATH), unix());
            }

            assertSameRam(target, origin);
            assertThat(target.runState()).as("it ran before it was parked").isEqualTo(RunState.RUNNING);
        }
    }

    @Test
    void holesStayHoles() throws IOException, InterruptedException {
        int pages = 4096;
        try (MemoryGuest origin = new MemoryGuest("o").with("pc.ram", pages).paused();
                ParkedGuest parked = park("p");
                MemoryGuest target = new MemoryGuest("t").with("pc.ram", pages).incoming()) {
            origin.write("pc.ram", 10, 0x11);
            origin.write("pc.ram", 11, 0);
            origin.write("pc.ram", pages - 1, 0x22);

            MigrationInfo info = migrate(origin, parked, Set.of(Capability.RETURN_PATH), unix());
            migrate(parked, target, Set.of(Capability.RETURN_PATH), unix());

            assertThat(Objects.requireNonNull(info.ram()).normalPages()).isEqualTo(2);
            assertThat(info.ram().duplicatePages()).isEqualTo(pages - 2);
            for (Guest guest : List.of(parked, target)) {
                RamBlock ram = guest.ram().getFirst();
                assertThat(ram.nextData(0)).isEqualTo(10 * 4096);
                assertThat(ram.nextHole(10 * 4096))
                        .as("a page of zeroes is a hole again")
                        .isEqualTo(11 * 4096);
                assertThat(ram.nextData(11 * 4096)).isEqualTo((pages - 1) * 4096L);
            }
            assertSameRam(target, origin);
        }
    }

    @ParameterizedTest(name = "capabilities: {0}")
    @ValueSource(strings = {"", "return-path", "return-path xbzrle"})
    void aGuestThatWritesAllTheTimeArrivesWhole(String names) throws IOException, InterruptedException {
        // Slow enough for several passes while the guest writes, and a cache that holds part of the pages only.
        parameters = new MigrationParameters(
                16 << 20, 20, 16 << 20, 256 << 10, 50, 550, 5, 100, 0, PostcopyPolicy.MANUAL, 60_000);
        try (MemoryGuest origin = new MemoryGuest("o").with("pc.ram", 1024).with("vga.ram", 16);
                MemoryGuest target = new MemoryGuest("t")
                        .with("pc.ram", 1024)
                        .with("vga.ram", 16)
                        .incoming()) {
            origin.randomize("pc.ram", 1);
            origin.randomize("vga.ram", 2);
            origin.startWriting(100);

            MigrationInfo info = migrate(origin, target, capabilities(names), unix());

            assertThat(origin.writes()).isPositive();
            assertThat(Objects.requireNonNull(info.ram()).dirtySyncCount()).isGreaterThan(1);
            assertSameRam(target, origin);
            assertThat(target.cpu()).isEqualTo(origin.cpu());
            assertThat(target.runState()).isEqualTo(RunState.RUNNING);
        }
    }

    /** Captured streams of QEMU, into a parked guest: its RAM is what the capture's manifest says. */
    @ParameterizedTest
    @ValueSource(
            strings = {
                "precopy-10.0",
                "precopy-7.2",
                "live-10.0",
                "xbzrle-10.0",
                "uuid-10.0",
                "devices-pc-10.0",
                "arm-10.0"
            })
    void capturesOfQemuAreLoaded(String capture) throws IOException, InterruptedException {
        JsonNode manifest =
                new ObjectMapper().readTree(resource("/fixtures/manifest.json")).get(capture);
        try (ParkedGuest parked = park("p");
                Destination destination = new Destination(links, parked, directory, Set.of(Capability.XBZRLE));
                SocketChannel socket = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            socket.connect(UnixDomainSocketAddress.of(directory.resolve("in.sock")));
            byte[] stream = new GZIPInputStream(resource("/fixtures/" + capture + ".bin.gz")).readAllBytes();
            ByteBuffer rest = ByteBuffer.wrap(stream);
            while (rest.hasRemaining()) {
                socket.write(rest);
            }
            socket.shutdownOutput();
            destination.awaitEnd();

            assertThat(destination.error()).isNull();
            assertThat(destination.status()).isEqualTo("completed");
            assertThat(parked.ram()).hasSize(manifest.get("ram_blocks").size());
            for (RamBlock block : parked.ram()) {
                JsonNode expected = manifest.get("ram_blocks").get(block.name());
                assertThat(block.lengthBytes())
                        .as(block.name())
                        .isEqualTo(expected.get("bytes").asLong());
                assertThat(sha256(MemoryGuest.contents(block)))
                        .as(block.name())
                        .isEqualTo(expected.get("sha256").asText());
            }
            assertThat(parked.saveDevices())
                    .hasSizeGreaterThan(4)
                    .allSatisfy(d -> assertThat(d.description())
                            .as("%s is described", d.idstr())
                            .isNotNull());
        }
    }

    private static InputStream resource(String name) {
        return Objects.requireNonNull(PrecopyTest.class.getResourceAsStream(name), name);
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new AssertionError("every JDK has it", e);
        }
    }
}
