package io.migrationd.migrationd.orchestration;

import com.fasterxml.jackson.databind.JsonNode;
import io.migrationd.migrationd.move.Outcome;
import java.util.List;
import java.util.Optional;

/** The reports of moves, one file each. */
interface Reports {
    void write(SourceMove move, Outcome outcome);

    List<JsonNode> list(Optional<String> guest);

    Optional<JsonNode> find(String idOrGuest);
}
