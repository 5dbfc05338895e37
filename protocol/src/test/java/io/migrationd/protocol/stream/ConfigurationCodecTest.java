package io.migrationd.protocol.stream;

import static io.migrationd.protocol.WireText.bytes;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.migrationd.protocol.wire.ProtocolException;
import io.migrationd.protocol.wire.StreamReader;
import io.migrationd.protocol.wire.WireWriter;
import java.io.IOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.UUID;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Configuration section")
class ConfigurationCodecTest {
    private static final String ALL = """
            07 00000002 "pc"
            05 1e "configuration/target-page-bits" 00000001 0000000c
            05 1a "configuration/capabilities" 00000001 00000002 0f "x-ignore-shared" 0a "mapped-ram"
            05 12 "configuration/uuid" 00000001 12345678 9abcdef0 11223344 55667788
            """;

    private static final Configuration ALL_READ = new Configuration(
            "pc",
            OptionalInt.of(12),
            List.of("x-ignore-shared", "mapped-ram"),
            Optional.of(UUID.fromString("12345678-9abc-def0-1122-334455667788")));

    @Test
    void hasAllOfItsSubsections() throws IOException {
        StreamReader in = StreamReader.of(bytes(ALL + "01"));
        ReceivedConfiguration received = ConfigurationCodec.read(in);
        assertThat(received).isEqualTo(new ReceivedConfiguration(ALL_READ, 1, 7, 47, 110));
        assertThat(in.readU8("next")).isEqualTo(1);
        assertThat(written(ALL_READ)).isEqualTo(bytes(ALL));
    }

    @Test
    void hasNoneOfItsSubsections() throws IOException {
        StreamReader in = StreamReader.of(bytes("07 00000002 \"pc\" 01"));
        ReceivedConfiguration received = ConfigurationCodec.read(in);
        assertThat(received).isEqualTo(new ReceivedConfiguration(Configuration.of("pc"), 1, 7, 7, 7));
        assertThat(written(Configuration.of("pc"))).isEqualTo(bytes("07 00000002 \"pc\""));
    }

    @Test
    void hasItsSubsectionsInAnyOrder() throws IOException {
        String text = """
                07 00000002 "pc"
                05 12 "configuration/uuid" 00000001 12345678 9abcdef0 11223344 55667788
                05 1e "configuration/target-page-bits" 00000001 00000010 00""";
        Configuration configuration =
                ConfigurationCodec.read(StreamReader.of(bytes(text))).configuration();
        assertThat(configuration.targetPageBits()).hasValue(16);
        assertThat(configuration.uuid()).isPresent();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
            no subsection          | 01
            the end of input       | ''
            a foreign subsection   | 05 0e "konfiguration/" 00000001
            a name that is shorter | 05 0d "configuration"
            a marker alone         | 05
            """)
    void endsBefore(String why, String next) throws IOException {
        StreamReader in = StreamReader.of(bytes("07 00000002 \"pc\"" + next));
        ConfigurationCodec.read(in);
        assertThat(in.offset()).as(why).isEqualTo(7);
    }

    @Test
    void isRecognisedByItsFirstByte() throws IOException {
        assertThat(ConfigurationCodec.isNext(StreamReader.of(bytes("07")))).isTrue();
        assertThat(ConfigurationCodec.isNext(StreamReader.of(bytes("01")))).isFalse();
        assertThat(ConfigurationCodec.isNext(StreamReader.of(bytes("")))).isFalse();
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
            not there              | 01 00000001                                                             | configuration.type at offset 0: expected 0x07, a configuration section (or both ends with send-configuration off), got 0x01
            nothing                | ``                                                                      | configuration.type at offset 0: expected 1 bytes, got end of input after 0 bytes
            no machine type        | 07 00000000                                                             | configuration.machine-type.length at offset 1: expected 1 to 255 bytes, got 0 bytes
            a long machine type    | 07 00000100 20*256                                                      | configuration.machine-type.length at offset 1: expected 1 to 255 bytes, got 256 bytes
            a huge machine type    | 07 ffffffff                                                             | configuration.machine-type.length at offset 1: expected 1 to 255 bytes, got 4294967295 bytes
            cut machine type       | 07 00000004 "pc"                                                        | configuration.machine-type at offset 5: expected 4 bytes, got end of input after 2 bytes
            cut subsection name    | 07 00000002 "pc" 05 12 "configuration/"                                 | configuration.subsection.name at offset 8: expected 18 bytes, got end of input
            unknown subsection     | 07 00000002 "pc" 05 0f "configuration/x" 00000001                       | configuration.subsection at offset 7: expected target-page-bits, capabilities or uuid, got unknown subsection 'configuration/x'
            no slash               | 07 00000002 "pc" 05 0e "configurations" 00000001                        | configuration.subsection at offset 7: expected target-page-bits, capabilities or uuid, got unknown subsection 'configurations'
            subsection version     | 07 00000002 "pc" 05 12 "configuration/uuid" 00000002                    | configuration/uuid at offset 27: expected version 1, got version 2
            few page bits          | 07 00000002 "pc" 05 1e "configuration/target-page-bits" 00000001 00000009 | configuration/target-page-bits at offset 43: expected 10 to 16, got 9
            many page bits         | 07 00000002 "pc" 05 1e "configuration/target-page-bits" 00000001 00000011 | configuration/target-page-bits at offset 43: expected 10 to 16, got 17
            many capabilities      | 07 00000002 "pc" 05 1a "configuration/capabilities" 00000001 ffffffff   | configuration/capabilities at offset 39: expected at most 64 names, got 4294967295 names
            empty capability       | 07 00000002 "pc" 05 1a "configuration/capabilities" 00000001 00000001 00 | configuration/capabilities at offset 43: expected a name of 1 to 255 bytes, got an empty one
            cut capabilities       | 07 00000002 "pc" 05 1a "configuration/capabilities" 00000001 00000002 01 "a" | configuration/capabilities at offset 45: expected 1 bytes, got end of input after 0 bytes
            cut uuid               | 07 00000002 "pc" 05 12 "configuration/uuid" 00000001 12345678 9abcdef0  | configuration/uuid at offset 39: expected 8 bytes, got end of input after 0 bytes
            """)
    void isRefused(String why, String text, String message) {
        assertThatThrownBy(() -> ConfigurationCodec.read(StreamReader.of(bytes(text))), why)
                .isInstanceOf(ProtocolException.class)
                .hasMessage(message);
    }

    @Test
    void hasEachSubsectionOnce() {
        String uuid = "05 12 \"configuration/uuid\" 00000001 12345678 9abcdef0 11223344 55667788";
        assertThatThrownBy(() -> ConfigurationCodec.read(StreamReader.of(bytes("07 00000002 \"pc\"" + uuid + uuid))))
                .hasMessage("configuration.subsection at offset 47: expected each subsection once,"
                        + " got a second 'configuration/uuid'");
    }

    @Test
    void isReadWhollyOrNotAtAllWhereverItIsCut() throws IOException {
        byte[] all = bytes(ALL);
        for (int length = 0; length < all.length; length++) {
            byte[] cut = java.util.Arrays.copyOf(all, length);
            try {
                StreamReader in = StreamReader.of(cut);
                Configuration read = ConfigurationCodec.read(in).configuration();
                // Between subsections, or before it is known that one follows, the section may just end.
                assertThat(written(read)).isEqualTo(java.util.Arrays.copyOf(all, (int) in.offset()));
                assertThat(length - in.offset()).isLessThan(2);
            } catch (ProtocolException e) {
                assertThat(e).hasMessageContaining("end of input");
            }
        }
    }

    private static byte[] written(Configuration configuration) {
        WireWriter out = new WireWriter();
        ConfigurationCodec.write(configuration, out);
        return out.toByteArray();
    }
}
