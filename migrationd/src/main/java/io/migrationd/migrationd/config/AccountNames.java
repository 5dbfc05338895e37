package io.migrationd.migrationd.config;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * Numbers of user or group names by {@code /etc/passwd} or {@code /etc/group}, where package scripts and
 * systemd-sysusers put them. Accounts of a directory service are given by number.
 *
 * @param file lines {@code name:password:number:...}
 */
record AccountNames(Path file) {
    static final AccountNames USERS = new AccountNames(Path.of("/etc/passwd"));
    static final AccountNames GROUPS = new AccountNames(Path.of("/etc/group"));

    /** The number of that name. */
    Optional<Integer> find(String name) {
        try (Stream<String> lines = Files.lines(file, StandardCharsets.ISO_8859_1)) {
            return lines.map(line -> line.split(":", 4))
                    .filter(fields -> fields.length >= 3 && fields[0].equals(name) && fields[2].matches("[0-9]{1,10}"))
                    .map(fields -> Integer.parseUnsignedInt(fields[2]))
                    .findFirst();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot look " + name + " up in " + file, e);
        }
    }
}
