package io.migrationd.migrationd.control;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.config.Accounts;
import io.migrationd.migrationd.config.ControlConfig;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@DisplayName("Access policy: own uid 990; observe uid 1001 gid 2001, operate gid 2002, administer uid 1003 gid 2003")
class AccessPolicyTest {
    private static final AccessPolicy POLICY = new AccessPolicy(
            new ControlConfig(
                    new Accounts(Set.of(1001), Set.of(2001)),
                    new Accounts(Set.of(), Set.of(2002)),
                    new Accounts(Set.of(1003), Set.of(2003)),
                    0660,
                    64,
                    1 << 20,
                    4 << 20),
            990);

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', textBlock = """
        root                      | 0    | 0              | ADMINISTER
        the daemon's own user     | 990  | 990            | ADMINISTER
        a stranger                | 1000 | 1000           | none
        group of root is nothing  | 1000 | 0              | none
        observer by uid           | 1001 | 1000           | OBSERVE
        observer by group         | 1000 | 1000 2001      | OBSERVE
        operator by group         | 1000 | 2002           | OPERATE
        administrator by uid      | 1003 | 1000           | ADMINISTER
        administrator by group    | 1000 | 1000 2003      | ADMINISTER
        the highest counts        | 1001 | 2001 2002      | OPERATE
        a uid is not a gid        | 2003 | 1003           | none
        """)
    void decides(String why, int uid, String gids, String role) {
        Set<Integer> groups = Stream.of(gids.split(" ")).map(Integer::valueOf).collect(Collectors.toSet());
        assertThat(POLICY.roleOf(new Peer(uid, groups, 1)).map(Role::name).orElse("none"))
                .isEqualTo(role);
    }

    @ParameterizedTest(name = "{0}")
    @CsvSource(delimiter = '|', quoteCharacter = '`', textBlock = """
        same user        | `Name: x;Uid:\t1000\t1000\t1000\t1000;Groups:\t27 4294967294 ` | 27 -2
        no groups        | `Uid:\t1000\t1000\t1000\t1000;Groups:\t `                      | ``
        number used anew | `Uid:\t1001\t1001\t1001\t1001;Groups:\t27 `                    | ``
        set-uid program  | `Uid:\t1000\t0\t0\t0;Groups:\t27 `                             | ``
        """)
    void supplementaryGroupsAreThoseOfTheSameUser(String why, String status, String expected, @TempDir Path directory)
            throws IOException {
        Path file = Files.writeString(directory.resolve("status"), status.replace(';', '\n'));
        Set<Integer> groups = Stream.of(expected.split(" "))
                .filter(text -> !text.isEmpty())
                .map(Integer::valueOf)
                .collect(Collectors.toSet());
        assertThat(Peer.supplementaryGroups(file, 1000)).isEqualTo(groups);
    }

    @Test
    void processThatIsGoneHasNoSupplementaryGroups(@TempDir Path directory) {
        assertThat(Peer.supplementaryGroups(directory.resolve("gone"), 1000)).isEmpty();
    }
}
