package io.migrationd.protocol.stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ProtocolException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.Set;
import java.util.UUID;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("Configuration check")
class ConfigurationCheckTest {
    private static final UUID HERE = UUID.fromString("12345678-9abc-def0-1122-334455667788");
    private static final UUID THERE = UUID.fromString("aaaaaaaa-9abc-def0-1122-334455667788");
    private static final OptionalInt NONE = OptionalInt.empty();

    private static LocalConfiguration local(int pageBits, int implicitBits, String... capabilities) {
        return new LocalConfiguration(
                "pc-i440fx-10.0", pageBits, implicitBits, Set.of(capabilities), Optional.of(HERE));
    }

    private static ReceivedConfiguration received(
            String machine, OptionalInt bits, @Nullable UUID uuid, String... capabilities) {
        return new ReceivedConfiguration(
                new Configuration(machine, bits, List.of(capabilities), Optional.ofNullable(uuid)), 1, 20, 40, 60);
    }

    static Stream<Arguments> accepted() {
        return Stream.of(
                Arguments.of("the same", received("pc-i440fx-10.0", NONE, HERE), local(12, 12)),
                Arguments.of("a prefix of the name", received("pc-i440fx-1", NONE, HERE), local(12, 12)),
                Arguments.of("page bits sent", received("pc-i440fx-10.0", OptionalInt.of(12), HERE), local(12, 10)),
                Arguments.of("no uuid sent", received("pc-i440fx-10.0", NONE, null), local(12, 12)),
                Arguments.of(
                        "a capability that is not compared",
                        received("pc-i440fx-10.0", NONE, HERE, "multifd"),
                        local(12, 12, "xbzrle")),
                Arguments.of(
                        "validated capabilities",
                        received("pc-i440fx-10.0", NONE, HERE, "mapped-ram", "x-ignore-shared"),
                        local(12, 12, "x-ignore-shared", "mapped-ram", "multifd")));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("accepted")
    void accepts(String why, ReceivedConfiguration received, LocalConfiguration local) throws ProtocolException {
        assertThat(ConfigurationCheck.check(received, local)).as(why).isEmpty();
    }

    static Stream<Arguments> refused() {
        return Stream.of(
                Arguments.of(
                        received("pc-q35-10.0", OptionalInt.of(14), THERE, "nonsense"),
                        local(12, 12),
                        "configuration.machine-type at offset 1: expected machine type 'pc-i440fx-10.0',"
                                + " got 'pc-q35-10.0'"),
                Arguments.of(
                        received("pc-i440fx-10.0-longer", NONE, HERE),
                        local(12, 12),
                        "configuration.machine-type at offset 1: expected machine type 'pc-i440fx-10.0',"
                                + " got 'pc-i440fx-10.0-longer'"),
                Arguments.of(
                        received("pc-i440fx-10.0", OptionalInt.of(14), THERE, "nonsense"),
                        local(12, 12),
                        "configuration/target-page-bits at offset 20: expected guest pages of 4096 bytes,"
                                + " got 16384 bytes"),
                Arguments.of(
                        received("pc-i440fx-10.0", NONE, HERE),
                        local(12, 10),
                        "configuration/target-page-bits at offset 20: expected guest pages of 4096 bytes,"
                                + " got 1024 bytes"),
                Arguments.of(
                        received("pc-i440fx-10.0", NONE, THERE, "nonsense", "mapped-ram"),
                        local(12, 12, "x-ignore-shared"),
                        "configuration/capabilities at offset 40: expected the same validated capabilities on both"
                                + " sides, got unknown capability 'nonsense'; mapped-ram on at the source only;"
                                + " x-ignore-shared on at the destination only"),
                Arguments.of(
                        received("pc-i440fx-10.0", NONE, THERE),
                        local(12, 12),
                        "configuration/uuid at offset 60: expected uuid 12345678-9abc-def0-1122-334455667788,"
                                + " got aaaaaaaa-9abc-def0-1122-334455667788"));
    }

    @ParameterizedTest(name = "{2}")
    @MethodSource("refused")
    void refusesTheFirstThatDoesNotFit(ReceivedConfiguration received, LocalConfiguration local, String message) {
        assertThatThrownBy(() -> ConfigurationCheck.check(received, local))
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void warnsIfThereIsNoUuidToCompare() throws ProtocolException {
        LocalConfiguration local = new LocalConfiguration("pc", 12, 12, Set.of(), Optional.empty());
        assertThat(ConfigurationCheck.check(received("pc", NONE, THERE), local))
                .containsExactly("the source says its machine is aaaaaaaa-9abc-def0-1122-334455667788,"
                        + " but this machine has no uuid to compare");
    }
}
