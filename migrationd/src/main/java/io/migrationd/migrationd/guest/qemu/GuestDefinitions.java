package io.migrationd.migrationd.guest.qemu;

import io.migrationd.migrationd.config.ConfigException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.regex.Pattern;

/**
 * The definitions of one host: {@code NAME.toml} in a directory that only its administrator writes. Read anew on each
 * call, so that a change counts at once. A wrong file hides no other.
 */
public final class GuestDefinitions {
    /** More files than these are not looked at. */
    static final int MAX_FILES = 1024;

    static final int MAX_FILE_BYTES = 64 << 10;

    private static final String SUFFIX = ".toml";

    /** As for the guests of the control sockets, whose names are file names as well. */
    private static final Pattern NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,63}");

    private final Path directory;

    /** A directory need not exist: then there are no definitions. */
    public GuestDefinitions(Path directory) {
        this.directory = directory;
    }

    /**
     * What stands in the directory.
     *
     * @param problems by file, for those that give no definition
     */
    public record Listing(SortedMap<String, GuestDefinition> definitions, SortedMap<Path, ConfigException> problems) {}

    /** Reads all. */
    public Listing read() {
        SortedMap<String, GuestDefinition> definitions = new TreeMap<>();
        SortedMap<Path, ConfigException> problems = new TreeMap<>();
        int files = 0;
        try (DirectoryStream<Path> stream = Files.newDirectoryStream(directory, "*" + SUFFIX)) {
            for (Path file : stream) {
                if (++files > MAX_FILES) {
                    problem(
                            problems,
                            directory,
                            "more files",
                            "at most %d, of which the first are read".formatted(MAX_FILES));
                    break;
                }
                readFile(file, definitions, problems);
            }
        } catch (NoSuchFileException e) {
            // No directory, no definitions.
        } catch (NotDirectoryException e) {
            problem(problems, directory, "no directory", "a directory, or nothing");
        } catch (IOException e) {
            problem(problems, directory, e.toString(), "a directory that can be read");
        }
        dropTwins(definitions, problems);
        return new Listing(definitions, problems);
    }

    /** One definition, if there is one. */
    public Optional<GuestDefinition> find(String name) throws ConfigException {
        Listing all = read();
        GuestDefinition found = all.definitions().get(name);
        if (found != null) {
            return Optional.of(found);
        }
        ConfigException problem = all.problems().get(directory.resolve(name + SUFFIX));
        if (problem != null) {
            throw problem;
        }
        return Optional.empty();
    }

    private static void problem(SortedMap<Path, ConfigException> problems, Path file, String value, String allowed) {
        problems.put(file, new ConfigException(file.toString(), value, allowed));
    }

    private static void readFile(
            Path file, SortedMap<String, GuestDefinition> definitions, SortedMap<Path, ConfigException> problems) {
        String fileName = String.valueOf(file.getFileName());
        String name = fileName.substring(0, fileName.length() - SUFFIX.length());
        try {
            if (!NAME.matcher(name).matches()) {
                throw new ConfigException(file.toString(), name, "a name of at most 64 letters, digits, ., _ and -");
            }
            definitions.put(name, DefinitionReader.read(file, name, text(file)));
        } catch (ConfigException e) {
            problems.put(file, e);
        } catch (IOException e) {
            problem(problems, file, e.toString(), "a file that can be read");
        }
    }

    /** Its command line is run by the daemon's user, so nobody else may write it. */
    private static String text(Path file) throws IOException, ConfigException {
        if (Files.getPosixFilePermissions(file).contains(PosixFilePermission.OTHERS_WRITE)) {
            throw new ConfigException(file.toString(), "writable by everybody", "a file that others cannot write");
        }
        try (InputStream in = Files.newInputStream(file)) {
            byte[] bytes = in.readNBytes(MAX_FILE_BYTES + 1);
            if (bytes.length > MAX_FILE_BYTES) {
                throw new ConfigException(file.toString(), "too long", "at most %d bytes".formatted(MAX_FILE_BYTES));
            }
            return StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new ConfigException(file.toString(), "not UTF-8", "TOML 1.0", e);
        }
    }

    /** Two definitions with one uuid or one socket: nobody can say which is meant, so neither counts. */
    private static void dropTwins(
            SortedMap<String, GuestDefinition> definitions, SortedMap<Path, ConfigException> problems) {
        Map<Object, List<GuestDefinition>> byIdentity = new HashMap<>();
        for (GuestDefinition definition : definitions.values()) {
            byIdentity
                    .computeIfAbsent(definition.uuid(), key -> new ArrayList<>())
                    .add(definition);
            byIdentity
                    .computeIfAbsent(definition.qmp(), key -> new ArrayList<>())
                    .add(definition);
        }
        byIdentity.forEach((identity, twins) -> {
            if (twins.size() > 1) {
                List<String> names = twins.stream().map(GuestDefinition::name).toList();
                for (GuestDefinition twin : twins) {
                    definitions.remove(twin.name());
                    problem(
                            problems,
                            twin.file(),
                            identity + " of " + names,
                            "a uuid and a qmp that no other definition has");
                }
            }
        });
    }
}
