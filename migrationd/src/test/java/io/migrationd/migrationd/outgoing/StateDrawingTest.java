package io.migrationd.migrationd.outgoing;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("State diagram of docs/architecture.md")
class StateDrawingTest {
    private static final Pattern ARROW = Pattern.compile("(?m)^    ([a-z_]+) --> ([a-z_]+)");

    @Test
    void showsTheTransitionsOfTheTableAndNoOthers() throws IOException {
        String page = Files.readString(Path.of("..", "docs", "architecture.md"));

        Set<String> drawn = ARROW.matcher(page)
                .results()
                .map((MatchResult arrow) -> arrow.group(1).replace('_', '-') + " to "
                        + arrow.group(2).replace('_', '-'))
                .collect(Collectors.toSet());

        assertThat(drawn)
                .isEqualTo(OutgoingStatus.TABLE.stream()
                        .map(t -> t.from().qmpName() + " to " + t.to().qmpName())
                        .collect(Collectors.toSet()));
    }
}
