package io.migrationd.migrationd.orchestration;

import static org.assertj.core.api.Assertions.assertThat;

import io.migrationd.migrationd.control.MoveOperations.PostcopyUse;
import java.nio.file.Path;
import java.util.UUID;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RehearsalTest {
    private static final MoveSettings SETTINGS =
            new MoveSettings(PostcopyUse.NEVER, false, 0, false, false, 300, 3_000, 0, 0, 0, false, 3);

    @TempDir
    private Path folder;

    /** Both machines come to their end, or it fails. */
    @Test
    void aWholeMoveIsRehearsedAndLeavesNothing() throws Exception {
        Path scratch = folder.resolve("rehearsal");
        assertThat(new Rehearsal(scratch).run(SETTINGS.order("web", UUID.randomUUID(), "a"), 2))
                .isEqualTo(2);
        assertThat(scratch).doesNotExist();
    }
}
