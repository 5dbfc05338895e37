package io.migrationd.migrationd.move;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Set;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("State diagrams of docs/ownership.md")
class MoveDrawingTest {
    private static final Pattern ARROW = Pattern.compile("(?m)^    ([A-Z]+) --> ([A-Z]+): (.*)$");

    @Test
    void sourceIsDrawnAsItIs() throws IOException {
        assertThat(arrows("## 2. The source"))
                .isEqualTo(text(SourcePhase.TABLE.stream().map(t -> t.from() + " " + t.to() + " " + t.why())));
    }

    @Test
    void targetIsDrawnAsItIs() throws IOException {
        assertThat(arrows("## 3. The target"))
                .isEqualTo(text(TargetPhase.TABLE.stream().map(t -> t.from() + " " + t.to() + " " + t.why())));
    }

    private static Set<String> text(Stream<String> rows) {
        // A colon would end mermaid's label.
        return rows.map(row -> row.replace(":", ",")).collect(Collectors.toSet());
    }

    private static Set<String> arrows(String title) throws IOException {
        String page = Files.readString(Path.of("..", "docs", "ownership.md"));
        int from = page.indexOf(title);
        int to = page.indexOf("\n## ", from + 1);
        return ARROW.matcher(page.substring(from, to < 0 ? page.length() : to))
                .results()
                .map(arrow -> arrow.group(1) + " " + arrow.group(2) + " " + arrow.group(3))
                .collect(Collectors.toSet());
    }
}
