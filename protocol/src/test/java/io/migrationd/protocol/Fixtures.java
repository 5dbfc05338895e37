package io.migrationd.protocol;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.zip.GZIPInputStream;

/** The captures under {@code fixtures/} and what their manifest says of them. */
public final class Fixtures {
    /**
     * One run.
     *
     * @param files sizes of its files, uncompressed, by name
     * @param records counts of the main channel, or of the first one if there was a recovery
     */
    public record Run(String name, Map<String, Long> files, Map<String, Long> records) {
        /** The file that has the main channel. */
        public String mainChannel() {
            return files.keySet().stream()
                    .filter(file -> file.matches(".*(\\.bin|[0-9]\\.main\\.fwd|\\.first\\.main\\.fwd)\\.gz"))
                    .findFirst()
                    .orElseThrow();
        }

        @Override
        public String toString() {
            return name;
        }
    }

    private Fixtures() {}

    /** The uncompressed bytes of {@code file}. */
    public static byte[] read(String file) {
        try (InputStream in = new GZIPInputStream(open(file), 1 << 16)) {
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** All runs by name. */
    public static Map<String, Run> manifest() {
        Map<String, Run> runs = new LinkedHashMap<>();
        try (JsonParser json = new JsonFactory().createParser(open("manifest.json"))) {
            json.nextToken();
            while (json.nextToken() != JsonToken.END_OBJECT) {
                String name = json.currentName();
                runs.put(name, run(name, json));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return runs;
    }

    private static Run run(String name, JsonParser json) throws IOException {
        Map<String, Long> files = new LinkedHashMap<>();
        Map<String, Long> records = new LinkedHashMap<>();
        json.nextToken();
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String key = json.currentName();
            json.nextToken();
            if ("files".equals(key)) {
                while (json.nextToken() != JsonToken.END_OBJECT) {
                    String file = json.currentName();
                    json.nextToken();
                    files.put(file, numbers(json).get("bytes"));
                }
            } else if ("main_channel_records".equals(key)) {
                records.putAll(numbers(json));
            } else {
                json.skipChildren();
            }
        }
        return new Run(name, files, records);
    }

    private static Map<String, Long> numbers(JsonParser json) throws IOException {
        Map<String, Long> numbers = new LinkedHashMap<>();
        while (json.nextToken() != JsonToken.END_OBJECT) {
            String key = json.currentName();
            if (json.nextToken() == JsonToken.VALUE_NUMBER_INT) {
                numbers.put(key, json.getLongValue());
            }
        }
        return numbers;
    }

    private static InputStream open(String file) {
        return Objects.requireNonNull(Fixtures.class.getResourceAsStream("/fixtures/" + file), file);
    }
}
