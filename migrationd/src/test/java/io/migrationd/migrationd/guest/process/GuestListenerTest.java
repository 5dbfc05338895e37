package io.migrationd.migrationd.guest.process;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.awaitility.Awaitility.await;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import io.migrationd.migrationd.guest.GuestException;
import io.migrationd.migrationd.guest.RunState;
import io.migrationd.migrationd.guest.process.GuestMessage.Bye;
import io.migrationd.migrationd.guest.process.GuestMessage.Hello;
import io.migrationd.migrationd.guest.process.GuestMessage.Ready;
import io.migrationd.migrationd.guest.process.GuestMessage.Refused;
import io.migrationd.migrationd.guest.process.GuestMessage.Reply;
import io.migrationd.migrationd.guest.process.GuestMessage.Request;
import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.os.Descriptor;
import io.migrationd.postcopy.os.Libc;
import java.io.FileDescriptor;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.newsclub.net.unix.AFUNIXSocket;
import org.newsclub.net.unix.AFUNIXSocketAddress;
import org.newsclub.net.unix.FileDescriptorCast;

@Timeout(60)
class GuestListenerTest {
    private static final JsonMapper JSON = new JsonMapper();
    private static final GuestListener.Limits LIMITS =
            new GuestListener.Limits(4, Duration.ofMillis(400), Duration.ofMillis(400));

    private final RecordingRegistry registry = new RecordingRegistry();
    private FakeVmm vmm;
    private GuestListener listener;
    private Path socket;
    private Map<String, Integer> before;

    @BeforeAll
    static void socketLibraryOpensItsOwnDescriptors(@TempDir Path directory) throws Exception {
        // Once per process; not a leak.
        try (GuestListener warm = GuestListener.open(directory.resolve("warm"), new RecordingRegistry(), LIMITS);
                GuestChannel channel = GuestChannel.connect(directory.resolve("warm"))) {
            assertThat(warm.guests()).isEmpty();
            channel.shutdown();
        }
    }

    @BeforeEach
    void listen(@TempDir Path directory) throws Exception {
        socket = directory.resolve("guests.sock");
        vmm = new FakeVmm();
        listener = GuestListener.open(socket, registry, LIMITS);
        before = OpenDescriptors.count();
    }

    @AfterEach
    void close() throws Exception {
        listener.close();
        vmm.close();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
                    version of tomorrow    | version                   | 2               | message.version at offset 0: expected 1, got 2
                    no name                | name                      |                 | message.name at offset 0: expected a string
                    empty name             | name                      | ""              | message.name
                    name is a path         | name                      | "../etc"        | message.name at offset 0: expected 1 to 64 of A-Z a-z 0-9 . _ -, no leading dot
                    long name              | name                      | "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" | message.name at offset 0: expected 1 to 64
                    bad uuid               | uuid                      | "1-2-3"         | message.uuid at offset 0: expected a UUID
                    another process        | pid                       | 1               | message.pid at offset 0: expected the pid of the process that connected
                    no pid                 | pid                       | 0               | message.pid at offset 0: expected an integer
                    no machine             | machine-type              | ""              | message.machine-type
                    odd target page        | target-page-size          | 5000            | message.target-page-size at offset 0: expected a power of two, got 5000
                    tiny target page       | target-page-size          | 1024            | message.target-page-size at offset 0: expected an integer from 4096 to 65536
                    unknown mode           | mode                      | "asleep"        | message.mode at offset 0: expected one of [running, paused, incoming, released], got asleep
                    more descriptors       | descriptors               | 4               | descriptors at offset 0: expected 4 with the message, got 3
                    no descriptors         | descriptors               | 1               | message.descriptors at offset 0: expected an integer from 2 to 49
                    too many descriptors   | descriptors               | 50              | message.descriptors at offset 0: expected an integer from 2 to 49
                    no regions             | regions                   | []              | message.regions at offset 0: expected an array of 1 to 48 entries, got 0 entries
                    regions are no list    | regions                   | {}              | message.regions at offset 0: expected an array
                    region is no object    | regions/0                 | 7               | message.regions[0] at offset 0: expected an object, got 7
                    unused memfd           | regions/1/descriptor      | 1               | descriptors at offset 0: expected every memfd in a region, got 1 of 2
                    memfd out of range     | regions/1/descriptor      | 3               | message.regions[1].descriptor at offset 0: expected an integer from 1 to 2
                    memfd is the uffd      | regions/1/descriptor      | 0               | message.regions[1].descriptor at offset 0: expected an integer from 1 to 2
                    same name              | regions/1/name            | "vmm.ram"       | message.regions[1].name at offset 0: expected a name of its own, got vmm.ram
                    name with a blank      | regions/1/name            | "vmm ram"       | message.regions[1].name
                    zero length            | regions/0/length          | 0               | message.regions[0].length at offset 0: expected an integer from 4096
                    negative length        | regions/0/length          | -4096           | message.regions[0].length at offset 0: expected an integer from 4096
                    odd length             | regions/0/length          | 4097            | message.regions[0].length at offset 0: expected a multiple of 4096, got 4097
                    longer than the memfd  | regions/0/length          | 1052672         | message.regions[0].length at offset 0: expected at most the 1048576 bytes of the memfd behind offset 0, got 1052672
                    length overflows       | regions/0/length          | 9223372036854771712 | message.regions[0].length at offset 0: expected an integer from 4096
                    offset behind the end  | regions/0/offset          | 1048576         | message.regions[0].length at offset 0: expected at most the 1048576 bytes of the memfd behind offset 1048576
                    odd offset             | regions/0/offset          | 1               | message.regions[0].offset at offset 0: expected a multiple of 4096, got 1
                    odd address            | regions/0/host-virtual    | 4097            | message.regions[0].host-virtual at offset 0: expected a multiple of 4096
                    kernel address         | regions/0/host-virtual    | 9223372036854771712 | message.regions[0].host-virtual at offset 0: expected an integer
                    odd guest address      | regions/0/guest-physical  | 1               | message.regions[0].guest-physical at offset 0: expected a multiple of 4096
                    guest overlap          | regions/1/guest-physical  | 4096            | message.regions[1].guest-physical at offset 0: expected a range of its own, got that of vmm.ram
                    odd page size          | regions/0/page-size       | 4097            | message.regions[0].page-size at offset 0: expected a power of two
                    unknown in region      | regions/0/numa            | 1               | message.regions[0].numa at offset 0: expected no such member, got 1
                    devices are no list    | devices                   | {}              | message.devices at offset 0: expected an array
                    device is no object    | devices/0                 | 7               | message.devices[0] at offset 0: expected a device description
                    unknown field type     | devices/0/fields/0/type   | "uint9"         | message.devices[0] at offset 0: expected a device description, got device.fields[0]
                    reserved device        | devices/0/name            | "ram"           | message.devices[0].name at offset 0: expected none of [configuration, globalstate, ram], got ram
                    promise is no flag     | postcopy                  | "yes"           | message.postcopy at offset 0: expected true or false, got
                    unknown member         | color                     | "red"           | message.color at offset 0: expected no such member
                    """)
    void refusesAHostileHello(String why, String path, String value, String reason) throws Exception {
        ObjectNode hello = helloJson();
        change(hello, path.split("/"), value);

        assertThat(refusal(hello + "\n", vmm.descriptors())).as(why).startsWith(reason);

        OpenDescriptors.awaitCount(before);
        assertThat(listener.guests()).isEmpty();
        assertThat(registry.news()).isEmpty();
    }

    @Test
    void refusesTwoDevicesOfOneName() throws Exception {
        ObjectNode hello = helloJson();
        ArrayNode devices = (ArrayNode) hello.get("devices");
        devices.add(devices.get(0).deepCopy());

        assertThat(refusal(hello + "\n", vmm.descriptors()))
                .startsWith(
                        "message.devices[1] at offset 0: expected a name and instance of its own, got uart instance 0");
    }

    @Test
    void refusesRegionsThatShareBytesOfOneFile() throws Exception {
        ObjectNode hello = helloJson();

        // The same memfd under two numbers.
        int ram = vmm.blocks.getFirst().fd();
        assertThat(refusal(hello + "\n", List.of(vmm.tracking.fd(), ram, ram)))
                .startsWith("message.regions[1].offset at offset 0: expected bytes of its own in the memfd");
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void refusesRegionsAtOneAddress() throws Exception {
        ObjectNode hello = helloJson();
        change(
                hello,
                new String[] {"regions", "1", "host-virtual"},
                hello.at("/regions/0/host-virtual").toString());

        assertThat(refusal(hello + "\n", vmm.descriptors()))
                .startsWith(
                        "message.regions[1].host-virtual at offset 0: expected a range of its own, got that of vmm.ram");
    }

    @Test
    void refusesMemoryThatCanShrink() throws Exception {
        try (Descriptor unsealed =
                new Descriptor(Libc.memfdCreate("loose", Libc.MFD_CLOEXEC | Libc.MFD_ALLOW_SEALING))) {
            Libc.ftruncate(unsealed.number(), FakeVmm.BLOCK_BYTES);
            List<Integer> descriptors = List.of(
                    vmm.tracking.fd(), unsealed.number(), vmm.blocks.getLast().fd());

            assertThat(refusal(helloJson() + "\n", descriptors))
                    .isEqualTo("descriptors[1] at offset 0: expected a memfd with F_SEAL_SHRINK, got seals 0");
        }
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void refusesAFileForMemory(@TempDir Path directory) throws Exception {
        try (FdRamBlock file = FdRamBlock.createFile("file", directory.resolve("ram"), FakeVmm.BLOCK_BYTES)) {
            List<Integer> descriptors =
                    List.of(vmm.tracking.fd(), file.fd(), vmm.blocks.getLast().fd());

            assertThat(refusal(helloJson() + "\n", descriptors))
                    .startsWith("descriptors[1] at offset 0: expected a memfd with F_SEAL_SHRINK");
        }
    }

    @Test
    void refusesSomethingElseThanAUserfaultfd() throws Exception {
        int ram = vmm.blocks.get(0).fd();
        List<Integer> descriptors = List.of(ram, ram, vmm.blocks.get(1).fd());

        assertThat(refusal(helloJson() + "\n", descriptors))
                .startsWith("descriptors[0] at offset 0: expected a userfaultfd, got /memfd:vmm.ram");
    }

    @Test
    void refusesMoreDescriptorsThanItTakes() throws Exception {
        List<Integer> descriptors = new ArrayList<>();
        for (int i = 0; i < 55; i++) {
            descriptors.add(vmm.blocks.getFirst().fd());
        }

        assertThat(refusal(helloJson() + "\n", descriptors))
                .isEqualTo("descriptors at offset 0: expected at most 49, got 55");
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void refusesAHelloWithoutDescriptors() throws Exception {
        assertThat(refusal(helloJson() + "\n", List.of()))
                .isEqualTo("descriptors at offset 0: expected 3 with the message, got 0");
    }

    @Test
    void refusesAnotherFirstMessage() throws Exception {
        assertThat(refusal("{\"type\":\"bye\",\"reason\":\"\"}\n", List.of()))
                .isEqualTo("message.type at offset 0: expected hello, got Bye");
    }

    @Test
    void refusesALineWithoutEnd() throws Exception {
        String line = "x".repeat(GuestProtocol.MAX_LINE_BYTES);

        assertThat(refusal(line, vmm.descriptors()))
                .isEqualTo("message at offset 0: expected a line of at most 1048576 bytes, got a longer one");
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void refusesAHelloThatTrickles() throws Exception {
        assertThat(refusal("{\"type\":", vmm.descriptors())).isEqualTo("no hello came within 400 ms");
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void closesWhatCameWithAConnectionThatWasCut() throws Exception {
        try (AFUNIXSocket client = connect()) {
            send(client, "{\"type\":", vmm.descriptors());
        }

        OpenDescriptors.awaitCount(before);
    }

    @Test
    void refusesConnectionsAboveTheLimit() throws Exception {
        List<AFUNIXSocket> idle = new ArrayList<>();
        try {
            for (int i = 0; i < LIMITS.maxConnections(); i++) {
                idle.add(connect());
            }
            assertThat(refusal("", List.of())).isEqualTo("there are 4 guest connections already");
        } finally {
            for (AFUNIXSocket one : idle) {
                one.close();
            }
        }
    }

    @Test
    void asksTheRegistryForNewNames() throws Exception {
        registry.refuse("guest 'web01' exists already");

        assertThat(refusal(helloJson() + "\n", vmm.descriptors())).isEqualTo("guest 'web01' exists already");
        OpenDescriptors.awaitCount(before);
    }

    @Test
    void attachesAndGivesEverythingBackAtTheEnd() throws Exception {
        try (GuestChannel channel = attach(GuestMode.RUNNING)) {
            ProcessGuest guest = onlyGuest();
            assertThat(guest.pid()).isEqualTo(ProcessHandle.current().pid());
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
            assertThat(guest.ram()).extracting(block -> block.name()).containsExactly("vmm.ram", "vmm.rom");
            assertThat(guest.devices()).extracting(device -> device.idstr()).containsExactly("uart");

            channel.write(new Bye("powered off"), new byte[0]);
            awaitNews("attached web01", "detached web01");
            assertThat(guest.runState()).isEqualTo(RunState.SHUTDOWN);
            listener.forget(guest);
        }

        OpenDescriptors.awaitCount(before);
    }

    @Test
    void takesTheSameProcessBackWithoutASecondCopyOfItsMemory() throws Exception {
        try (GuestChannel first = attach(GuestMode.RUNNING)) {
            ProcessGuest guest = onlyGuest();
            Map<String, Integer> attached = OpenDescriptors.count();
            try (GuestChannel second = attach(GuestMode.PAUSED)) {
                awaitNews("attached web01", "attached web01");
                assertThat(onlyGuest()).isSameAs(guest);
                assertThat(guest.runState()).isEqualTo(RunState.PAUSED);
                assertThatThrownBy(first::readMessage).isInstanceOf(IOException.class);

                assertThat(memoryOf(OpenDescriptors.count())).isEqualTo(memoryOf(attached));
                second.shutdown();
            }
            awaitNews("attached web01", "attached web01", "detached web01");
        }
    }

    @Test
    void refusesAnotherGuestOfTheNameWhileOneIsAttached() throws Exception {
        try (GuestChannel first = attach(GuestMode.RUNNING);
                FakeVmm other = new FakeVmm()) {
            String line = new String(
                    GuestMessageCodec.encode(new Hello(other.hello(GuestMode.RUNNING))), StandardCharsets.UTF_8);

            assertThat(refusal(line, other.descriptors()))
                    .isEqualTo("guest web01 is attached already by process "
                            + ProcessHandle.current().pid());
            first.shutdown();
        }
    }

    @Test
    void endsTheSessionOfAGuestThatDoesNotAnswer() throws Exception {
        try (GuestChannel channel = attach(GuestMode.RUNNING)) {
            ProcessGuest guest = onlyGuest();

            assertThatThrownBy(guest::stopForSwitchover)
                    .isInstanceOf(GuestException.class)
                    .hasMessage("guest web01: it did not answer stop within 400 ms");

            awaitNews("attached web01", "detached web01");
            assertThat(((Request) channel.readMessage().message()).verb()).isEqualTo(GuestVerb.STOP);
        }
    }

    @Test
    void endsTheSessionOfAGuestThatAnswersWhatNobodyAsked() throws Exception {
        try (GuestChannel channel = attach(GuestMode.RUNNING)) {
            channel.write(Reply.done(99), new byte[0]);
            awaitNews("attached web01", "detached web01");
        }
    }

    @Test
    void passesOnWhyAGuestRefused() throws Exception {
        try (GuestChannel channel = attach(GuestMode.RUNNING)) {
            ProcessGuest guest = onlyGuest();
            CompletableFuture<Void> answer = answer(channel, id -> Reply.failed(id, "a device is being unplugged"));

            assertThatThrownBy(guest::pause).hasMessage("guest web01 refused to stop: a device is being unplugged");
            answer.get(5, TimeUnit.SECONDS);
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        }
    }

    @Test
    void resumesAGuestThatWasAwayWhenItsMigrationFailed() throws Exception {
        ProcessGuest guest;
        try (GuestChannel channel = attach(GuestMode.RUNNING)) {
            guest = onlyGuest();
            CompletableFuture<Void> answer = answer(channel, Reply::done);
            guest.stopForSwitchover();
            answer.get(5, TimeUnit.SECONDS);
            assertThat(guest.runState()).isEqualTo(RunState.FINISH_MIGRATE);
            assertThat(guest.stateToAnnounce()).isEqualTo(RunState.RUNNING);
        }
        awaitNews("attached web01", "detached web01");
        guest.resumeAfterFailure();

        try (GuestChannel channel = attach(GuestMode.PAUSED)) {
            Request request = (Request) channel.readMessage().message();
            assertThat(request.verb()).isEqualTo(GuestVerb.RESUME);
            assertThat(guest.runState()).isEqualTo(RunState.RUNNING);
        }
    }

    @Test
    void releasesAGuestThatWasAwayWhenItsMigrationCompleted() throws Exception {
        ProcessGuest guest;
        try (GuestChannel channel = attach(GuestMode.PAUSED)) {
            guest = onlyGuest();
            channel.shutdown();
        }
        awaitNews("attached web01", "detached web01");
        guest.releaseAfterMigration();

        try (GuestChannel channel = attach(GuestMode.RUNNING)) {
            Request request = (Request) channel.readMessage().message();
            assertThat(request.verb()).isEqualTo(GuestVerb.RELEASE);
            assertThat(guest.runState()).isEqualTo(RunState.POSTMIGRATE);
            assertThatThrownBy(guest::continueRunning)
                    .hasMessage("guest web01 must not run here: it has migrated away");
        }
    }

    @Test
    void replacesASocketThatNobodyListensOnAndNoOther(@TempDir Path directory) throws Exception {
        assertThatThrownBy(() -> GuestListener.open(socket, registry, LIMITS))
                .hasMessageContaining("another process listens on the guest socket");

        Path file = Files.createFile(directory.resolve("file"));
        assertThatThrownBy(() -> GuestListener.open(file, registry, LIMITS)).hasMessageContaining("is not a socket");
        assertThat(file).exists();
    }

    private interface Answer {
        Reply to(long id);
    }

    private static CompletableFuture<Void> answer(GuestChannel channel, Answer answer) {
        return CompletableFuture.runAsync(() -> {
            try {
                Request request = (Request) channel.readMessage().message();
                channel.write(answer.to(request.id()), new byte[0]);
            } catch (IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
    }

    private GuestChannel attach(GuestMode mode) throws Exception {
        GuestChannel channel = GuestChannel.connect(socket);
        channel.writeHello(vmm.hello(mode), vmm.descriptors());
        assertThat(channel.readMessage().message()).isEqualTo(new Ready(1));
        return channel;
    }

    private ProcessGuest onlyGuest() {
        assertThat(listener.guests()).hasSize(1);
        return listener.guests().getFirst();
    }

    private void awaitNews(String... expected) {
        await().atMost(Duration.ofSeconds(10)).until(registry::news, List.of(expected)::equals);
    }

    private static Map<String, Integer> memoryOf(Map<String, Integer> counts) {
        Map<String, Integer> memory = new TreeMap<>(counts);
        memory.remove("socket");
        return memory;
    }

    private ObjectNode helloJson() throws Exception {
        return (ObjectNode) JSON.readTree(GuestMessageCodec.encode(new Hello(vmm.hello(GuestMode.RUNNING))));
    }

    private static void change(JsonNode root, String[] path, String value) throws Exception {
        JsonNode at = root;
        for (String step : Arrays.copyOf(path, path.length - 1)) {
            at = at.isArray() ? at.get(Integer.parseInt(step)) : at.get(step);
        }
        String last = path[path.length - 1];
        if (at instanceof ArrayNode array) {
            array.set(Integer.parseInt(last), JSON.readTree(value));
        } else if (value == null) {
            ((ObjectNode) at).remove(last);
        } else {
            ((ObjectNode) at).set(last, JSON.readTree(value));
        }
    }

    private AFUNIXSocket connect() throws IOException {
        AFUNIXSocket client = AFUNIXSocket.newInstance();
        client.connect(AFUNIXSocketAddress.of(socket));
        return client;
    }

    private static void send(AFUNIXSocket client, String text, List<Integer> descriptors) throws IOException {
        FileDescriptor[] outbound = new FileDescriptor[descriptors.size()];
        for (int i = 0; i < outbound.length; i++) {
            outbound[i] = FileDescriptorCast.unsafeUsing(descriptors.get(i)).getFileDescriptor();
        }
        if (outbound.length > 0) {
            client.setOutboundFileDescriptors(outbound);
        }
        client.getOutputStream().write(text.getBytes(StandardCharsets.UTF_8));
        client.getOutputStream().flush();
    }

    private String refusal(String text, List<Integer> descriptors) throws IOException {
        try (AFUNIXSocket client = connect()) {
            if (!text.isEmpty()) {
                send(client, text, descriptors);
            }
            try (GuestChannel channel = new GuestChannel(client)) {
                return ((Refused) channel.readMessage().message()).reason();
            }
        }
    }
}
