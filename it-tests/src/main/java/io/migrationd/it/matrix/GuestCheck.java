package io.migrationd.it.matrix;

import com.fasterxml.jackson.databind.JsonNode;

/** What a sample guest has last said of itself. */
record GuestCheck(long violations, boolean verified, long operations, String mode, String first) {
    static GuestCheck of(JsonNode details) {
        JsonNode report = details.path("check");
        return new GuestCheck(
                report.path("violations").asLong(-1),
                report.path("verified").asBoolean(),
                report.path("operations").asLong(-1),
                report.path("mode").asText("unknown"),
                report.path("first-violations").toString());
    }
}
