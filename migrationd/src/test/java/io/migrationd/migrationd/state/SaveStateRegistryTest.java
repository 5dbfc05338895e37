package io.migrationd.migrationd.state;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import io.migrationd.migrationd.state.SaveStateEntry.CompatId;
import java.util.Optional;
import java.util.OptionalInt;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Save-state registry")
class SaveStateRegistryTest {
    private final SaveStateRegistry<String> registry = new SaveStateRegistry<>();

    private static SaveStateEntry<String> entry(String idstr, int instance, int priority, String handler) {
        return new SaveStateEntry<>(idstr, instance, OptionalInt.empty(), Optional.empty(), 1, 1, priority, handler);
    }

    @Test
    void visitsByPriorityAndThenByRegistration() {
        registry.register(entry("timer", 0, 0, "a"));
        registry.register(entry("ram", 0, 0, "b"));
        registry.register(entry("apic", 0, 2, "c"));
        registry.register(entry("iommu", 0, 1, "d"));
        registry.register(entry("apic", 1, 2, "e"));
        registry.register(entry("last", 0, -1, "f"));
        registry.register(entry("cpu", 0, 0, "g"));

        assertThat(registry.entries())
                .extracting(SaveStateEntry::handler)
                .containsExactly("c", "e", "d", "a", "b", "g", "f");
    }

    /** ide has an alias, the scsi controller a compat name with an alias as well. */
    @ParameterizedTest(name = "{0} {1} is {2}")
    @CsvSource({
        "i8259, 0, pic0",
        "i8259, 1, pic1",
        "i8259, 2, -",
        "0000:00:01.1/ide, 0, ide",
        "0000:00:01.1/ide, 7, ide",
        "0000:00:01.1/ide, 1, -",
        "ide, 0, -",
        "0000:00:02.0/lsi, 0, lsi",
        "lsi, 3, lsi",
        "lsi, 9, lsi",
        "lsi, 0, -",
        "0000:00:02.0/lsi, 3, -",
        "LSI, 3, -",
        "'', 0, -"
    })
    void finds(String idstr, int instance, String handler) {
        registry.register(entry("i8259", 0, 0, "pic0"));
        registry.register(entry("i8259", 1, 0, "pic1"));
        registry.register(
                new SaveStateEntry<>("0000:00:01.1/ide", 0, OptionalInt.of(7), Optional.empty(), 3, 1, 0, "ide"));
        registry.register(new SaveStateEntry<>(
                "0000:00:02.0/lsi", 0, OptionalInt.of(9), Optional.of(new CompatId("lsi", 3)), 1, 1, 0, "lsi"));

        assertThat(registry.find(idstr, instance).map(SaveStateEntry::handler).orElse("-"))
                .isEqualTo(handler);
    }

    @Test
    void aFullNameWinsOverACompatName() {
        registry.register(new SaveStateEntry<>(
                "0000:00:02.0/lsi", 0, OptionalInt.empty(), Optional.of(new CompatId("lsi", 0)), 1, 1, 5, "compat"));
        registry.register(entry("lsi", 0, 0, "named"));

        assertThat(registry.find("lsi", 0)).map(SaveStateEntry::handler).contains("named");
    }

    @Test
    void theFirstOfTwoAliasesWins() {
        registry.register(new SaveStateEntry<>("hpet", 0, OptionalInt.of(5), Optional.empty(), 1, 1, 0, "low"));
        registry.register(new SaveStateEntry<>("hpet", 1, OptionalInt.of(5), Optional.empty(), 1, 1, 1, "high"));

        assertThat(registry.find("hpet", 5)).map(SaveStateEntry::handler).contains("high");
    }

    @Test
    void countsInstances() {
        assertThat(registry.nextInstanceId("i8259")).isZero();
        registry.register(entry("i8259", 0, 0, "a"));
        registry.register(entry("i8254", 0, 0, "b"));

        assertThat(registry.nextInstanceId("i8259")).isEqualTo(1);
    }

    @Test
    void refusesASecondEntryOfTheSameNameAndInstance() {
        registry.register(entry("i8259", 1, 0, "a"));

        assertThatIllegalArgumentException()
                .isThrownBy(() -> registry.register(entry("i8259", 1, 3, "b")))
                .withMessage("section 'i8259' instance 1 is registered already");
    }

    @Test
    void refusesACompatNameThatIsNoPartOfTheName() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> registry.register(new SaveStateEntry<>(
                        "0000:00:02.0/lsi", 0, OptionalInt.empty(), Optional.of(new CompatId("esp", 0)), 1, 1, 0, "x")))
                .withMessage("compat name 'esp' is no part of '0000:00:02.0/lsi'");
    }

    @Test
    void whatWasHandedOutDoesNotChange() {
        registry.register(entry("a", 0, 0, "a"));
        var before = registry.entries();

        registry.register(entry("b", 0, 0, "b"));

        assertThat(before).hasSize(1);
    }
}
