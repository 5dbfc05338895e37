package io.migrationd.postcopy.memory;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.postcopy.os.ErrnoException;
import io.migrationd.postcopy.os.Userfaultfd;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Host features")
class HostFeaturesTest {
    @Test
    void eachFeatureIsThereOrExplained() {
        HostFeatures found = HostFeatures.probe();
        for (HostFeature feature : HostFeature.values()) {
            List<String> sentences = found.missing(List.of(feature));
            if (found.has(feature)) {
                assertThat(sentences).isEmpty();
            } else {
                assertThat(sentences)
                        .singleElement()
                        .asString()
                        .startsWith("This host lacks " + feature + " (")
                        .endsWith(feature.remedy() + ".");
            }
        }
        assertThat(found.missing(List.of())).isEmpty();
    }

    @Test
    void accessIsWhatOpeningGives() {
        boolean opened;
        try {
            Userfaultfd.open().close();
            opened = true;
        } catch (ErrnoException e) {
            opened = false;
        }
        HostFeatures found = HostFeatures.probe();
        assertThat(found.access() != HostFeatures.Access.NONE).isEqualTo(opened);
        assertThat(found.has(HostFeature.USERFAULTFD)).isEqualTo(opened);
    }

    @Test
    void scanNeedsTheProtectionItReads() {
        HostFeatures found = HostFeatures.probe();
        boolean protects =
                Stream.of(HostFeature.WP_ASYNC, HostFeature.WP_HUGETLBFS_SHMEM).allMatch(found::has);
        assertThat(!found.has(HostFeature.PAGEMAP_SCAN) || protects).isTrue();
    }
}
