package io.migrationd.migrationd.report;

import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;

/**
 * Reports as JSON: names like {@code start-millis}, nothing that is not known. Fields of newer versions are ignored.
 */
public final class ReportJson {
    private static final ObjectMapper MAPPER = new ObjectMapper()
            .setPropertyNamingStrategy(PropertyNamingStrategies.KEBAB_CASE)
            .setDefaultPropertyInclusion(JsonInclude.Include.NON_NULL)
            .enable(SerializationFeature.INDENT_OUTPUT)
            .disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);

    private ReportJson() {}

    /** The file's content. */
    public static byte[] write(MoveReport report) throws IOException {
        return MAPPER.writeValueAsBytes(report);
    }

    /**
     * Reads what {@link #write} wrote.
     *
     * @throws IOException if it is no report
     */
    public static MoveReport read(byte[] json) throws IOException {
        return MAPPER.readValue(json, MoveReport.class);
    }
}
