package io.migrationd.it.scenario;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.it.matrix.MatrixRow;
import io.migrationd.it.matrix.MatrixRows;
import io.migrationd.it.matrix.RoundResult;
import io.migrationd.it.matrix.RoundRunner;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Every failure at every step of a postcopy migration between two daemons. All rows are begun at once and run two at a
 * time; a test waits for its row. {@code target/postcopy-matrix.md} has the table.
 */
@DisplayName("Postcopy failure matrix")
@Timeout(value = 30, unit = TimeUnit.MINUTES)
class PostcopyMatrixIT {
    private static final int LANES = 2;
    private static final int ATTEMPTS = 3;

    private static final List<MatrixRow> ROWS = Stream.concat(
                    MatrixRows.ofLink().stream(), MatrixRows.ofKills().stream())
            .toList();

    private static final Map<MatrixRow, CompletableFuture<RoundResult>> RESULTS = new LinkedHashMap<>();
    private static final List<String> TABLE = new ArrayList<>();

    private static @Nullable RoundRunner runner;

    @BeforeAll
    static void begin(@TempDir Path folder) {
        RoundRunner begun = new RoundRunner(folder, LANES);
        runner = begun;
        ROWS.forEach(row -> RESULTS.put(row, begun.submit(row.plan())));
    }

    static List<MatrixRow> rows() {
        return ROWS;
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("rows")
    void guestRunsOnceAndLosesNothing(MatrixRow row) {
        RoundResult result = Objects.requireNonNull(RESULTS.get(row)).join();
        for (int attempt = 2; result.isVoid() && attempt <= ATTEMPTS; attempt++) {
            // A guest that asked for no page in time is no proof: once more.
            result = Objects.requireNonNull(runner)
                    .submit(row.plan().again(attempt))
                    .join();
        }
        TABLE.add(row.table(result));
        say("postcopy matrix: %s: %s".formatted(row.what(), result.line()));
        assertThat(result.problems()).as(result.details()).isEmpty();
    }

    @AfterAll
    static void end() throws IOException {
        if (runner != null) {
            runner.close();
        }
        say("postcopy matrix: %d rows run, %d skipped".formatted(TABLE.size(), ROWS.size() - TABLE.size()));
        Path target = Files.createDirectories(Path.of("target"));
        Files.writeString(
                target.resolve("postcopy-matrix.md"), MatrixRow.head() + "\n" + String.join("\n", TABLE) + "\n");
    }

    @SuppressWarnings("SystemOut") // For the log of the build.
    private static void say(String line) {
        System.out.println(line);
    }
}
