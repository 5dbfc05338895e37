package io.migrationd.it.rules;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideOutsideOfPackages;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaMethodCall;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.lang.ArchCondition;
import com.tngtech.archunit.lang.ConditionEvents;
import com.tngtech.archunit.lang.SimpleConditionEvent;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import org.jspecify.annotations.NullMarked;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("Architecture")
class ArchitectureTest {
    private static final JavaClasses ALL = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("io.migrationd");

    @Test
    void protocolIsBytesOnly() {
        noClasses()
                .that()
                .resideInAPackage("io.migrationd.protocol..")
                .should()
                .dependOnClassesThat(resideOutsideOfPackages(
                        "io.migrationd.protocol..",
                        "java.io",
                        "java.lang..",
                        "java.math",
                        "java.nio",
                        "java.nio.charset",
                        "java.util",
                        "java.util.function",
                        "java.util.regex",
                        "java.util.stream",
                        "java.util.zip",
                        "com.fasterxml.jackson.core..",
                        "org.jspecify.annotations"))
                .because("the codecs know no logging, no sockets, no files and no JSON but its tokens")
                .check(ALL);
    }

    @Test
    void protocolHasNoThreads() {
        noClasses()
                .that()
                .resideInAPackage("io.migrationd.protocol..")
                .should()
                .dependOnClassesThat()
                .areAssignableTo(Thread.class)
                .orShould()
                .dependOnClassesThat()
                .resideInAPackage("java.util.concurrent..")
                .check(ALL);
    }

    @Test
    void returnPathKnowsProtocolOnly() {
        ours("returnpath", "protocol");
    }

    @Test
    void postcopyKnowsProtocolOnly() {
        ours("postcopy", "protocol");
    }

    @Test
    void theDaemonDoesNotKnowItsTests() {
        ours("migrationd", "protocol", "returnpath", "postcopy");
    }

    private static void ours(String module, String... known) {
        String[] allowed = new String[known.length + 1];
        allowed[0] = "io.migrationd." + module + "..";
        for (int i = 0; i < known.length; i++) {
            allowed[i + 1] = "io.migrationd." + known[i] + "..";
        }
        noClasses()
                .that()
                .resideInAPackage("io.migrationd." + module + "..")
                .should()
                .dependOnClassesThat(resideInAnyPackage("io.migrationd..").and(resideOutsideOfPackages(allowed)))
                .because("dependencies point one way")
                .check(ALL);
    }

    @Test
    void nettyStaysInTheLink() {
        noClasses()
                .that()
                .resideOutsideOfPackages("io.migrationd.migrationd.link..", "io.migrationd..netty..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("io.netty..")
                .check(ALL);
    }

    /** The tests' own programs speak QMP as well. */
    @Test
    void jsonTreesStayAtTheEdges() {
        noClasses()
                .that()
                .resideOutsideOfPackages(
                        "io.migrationd.migrationd.control..",
                        "io.migrationd.migrationd.config..",
                        "io.migrationd.migrationd.guest..",
                        "io.migrationd.migrationd.journal..",
                        "io.migrationd.migrationd.orchestration..",
                        "io.migrationd.migrationd.peer..",
                        "io.migrationd.migrationd.cli..",
                        "io.migrationd.migrationd.sample..",
                        "io.migrationd.migrationd.report..",
                        "io.migrationd.it..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("com.fasterxml.jackson.databind..")
                .because("engines and codecs never know JSON")
                .check(ALL);
    }

    @Test
    void onlyOnePackageCallsTheKernel() {
        noClasses()
                .that()
                .resideOutsideOfPackage("io.migrationd.postcopy.os")
                .should()
                .dependOnClassesThat()
                .belongToAnyOf(Linker.class, SymbolLookup.class)
                .check(ALL);
    }

    @Test
    void onlyOnePackageMakesMemoryOfAddresses() {
        noClasses()
                .that()
                .resideOutsideOfPackage("io.migrationd.postcopy.os")
                .should()
                .callMethodWhere(describe(
                        "it is MemorySegment.reinterpret or ofAddress", ArchitectureTest::makesMemoryOfAnAddress))
                .check(ALL);
    }

    private static boolean makesMemoryOfAnAddress(JavaMethodCall call) {
        return call.getTargetOwner().isEquivalentTo(MemorySegment.class)
                && (call.getName().equals("reinterpret") || call.getName().equals("ofAddress"));
    }

    @ParameterizedTest
    @ValueSource(strings = {"protocol", "postcopy", "migrationd"})
    void packagesOfAModuleHaveNoCycles(String module) {
        slices().matching("io.migrationd." + module + ".(*)..")
                .should()
                .beFreeOfCycles()
                .check(ALL);
    }

    @Test
    void everyPackageSaysWhatItIsAndIsNullMarked() {
        classes()
                .that()
                .resideOutsideOfPackage("..jmh_generated..")
                .should(new ArchCondition<>("be in a package with a package-info that is @NullMarked") {
                    @Override
                    public void check(JavaClass item, ConditionEvents events) {
                        if (!item.getPackage().isAnnotatedWith(NullMarked.class)) {
                            events.add(SimpleConditionEvent.violated(item, item.getPackageName() + " is not"));
                        }
                    }
                })
                .check(ALL);
    }

    @Test
    void nobodySleeps() {
        noClasses()
                .that()
                .resideOutsideOfPackage("io.migrationd.it..")
                .should()
                .callMethod(Thread.class, "sleep", long.class)
                .because("waits have a condition and a deadline")
                .check(ALL);
    }
}
