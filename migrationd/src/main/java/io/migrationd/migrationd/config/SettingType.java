package io.migrationd.migrationd.config;

import io.migrationd.migrationd.link.MigrationUri;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/** What a key takes. Values come as text (environment, command line) or as what TOML made of them. */
interface SettingType<T> {
    /** Reads a value: a String, Long, Boolean or List of these. Empty if it is not allowed. */
    Optional<T> read(Object raw);

    /** What is allowed, for people. */
    String allowed();

    /** The value as TOML. */
    String show(T value);

    /** An integer from {@code lowest} to {@code highest}. */
    static SettingType<Long> integer(long lowest, long highest) {
        return new SettingType<>() {
            @Override
            public Optional<Long> read(Object raw) {
                return asLong(raw).filter(value -> value >= lowest && value <= highest);
            }

            @Override
            public String allowed() {
                return "an integer from " + lowest + " to " + highest;
            }

            @Override
            public String show(Long value) {
                return value.toString();
            }
        };
    }

    /** {@code true} or {@code false}. */
    static SettingType<Boolean> flag() {
        return new SettingType<>() {
            @Override
            public Optional<Boolean> read(Object raw) {
                return switch (raw.toString()) {
                    case "true" -> Optional.of(true);
                    case "false" -> Optional.of(false);
                    default -> Optional.empty();
                };
            }

            @Override
            public String allowed() {
                return "true or false";
            }

            @Override
            public String show(Boolean value) {
                return value.toString();
            }
        };
    }

    /** Only {@code false}, for a switch that this version does not have yet; {@code why} says what is missing. */
    static SettingType<Boolean> onlyFalse(String why) {
        return new SettingType<>() {
            @Override
            public Optional<Boolean> read(Object raw) {
                return raw.equals(false) || raw.equals("false") ? Optional.of(false) : Optional.empty();
            }

            @Override
            public String allowed() {
                return "false (" + why + ")";
            }

            @Override
            public String show(Boolean value) {
                return value.toString();
            }
        };
    }

    /** An absolute path without {@code ..}. */
    static SettingType<Path> absolutePath() {
        return new SettingType<>() {
            @Override
            public Optional<Path> read(Object raw) {
                if (!(raw instanceof String text)) {
                    return Optional.empty();
                }
                try {
                    Path path = Path.of(text);
                    return path.isAbsolute() && path.equals(path.normalize()) ? Optional.of(path) : Optional.empty();
                } catch (InvalidPathException e) {
                    return Optional.empty();
                }
            }

            @Override
            public String allowed() {
                return "an absolute path without . and ..";
            }

            @Override
            public String show(Path value) {
                return quote(value.toString());
            }
        };
    }

    /** An absolute path without {@code ..}, or {@code off}. */
    static SettingType<Optional<Path>> optionalPath() {
        SettingType<Path> path = absolutePath();
        return new SettingType<>() {
            @Override
            @SuppressWarnings("OptionalMapToOptional") // No value is a value here: off.
            public Optional<Optional<Path>> read(Object raw) {
                Optional<Path> read = path.read(raw);
                return read.isPresent() || raw.equals("off") ? Optional.of(read) : Optional.empty();
            }

            @Override
            public String allowed() {
                return "\"off\" or " + path.allowed();
            }

            @Override
            public String show(Optional<Path> value) {
                return value.map(path::show).orElse(quote("off"));
            }
        };
    }

    /** {@code tcp:HOST:PORT}, {@code unix:PATH} or {@code off}. */
    static SettingType<Optional<MigrationUri>> optionalUri() {
        return new SettingType<>() {
            @Override
            @SuppressWarnings("OptionalMapToOptional") // No value is a value here: off.
            public Optional<Optional<MigrationUri>> read(Object raw) {
                Optional<MigrationUri> read = uri(raw);
                return read.isPresent() || raw.equals("off") ? Optional.of(read) : Optional.empty();
            }

            @Override
            public String allowed() {
                return "\"off\", \"tcp:HOST:PORT\" or \"unix:PATH\"";
            }

            @Override
            public String show(Optional<MigrationUri> value) {
                return quote(value.map(MigrationUri::toString).orElse("off"));
            }
        };
    }

    /** The addresses of one peer. */
    static SettingType<List<MigrationUri>> uris() {
        return new SettingType<>() {
            @Override
            public Optional<List<MigrationUri>> read(Object raw) {
                List<MigrationUri> uris = new ArrayList<>();
                for (Object element : elements(raw)) {
                    uri(element).ifPresent(uris::add);
                }
                return uris.isEmpty() || uris.size() != elements(raw).size()
                        ? Optional.empty()
                        : Optional.of(List.copyOf(uris));
            }

            @Override
            public String allowed() {
                return "a list of at least one \"tcp:HOST:PORT\" or \"unix:PATH\"";
            }

            @Override
            public String show(List<MigrationUri> value) {
                return value.stream().map(uri -> quote(uri.toString())).collect(Collectors.joining(", ", "[", "]"));
            }
        };
    }

    private static Optional<MigrationUri> uri(Object raw) {
        try {
            return raw instanceof String text ? Optional.of(MigrationUri.parse(text)) : Optional.empty();
        } catch (IllegalArgumentException e) {
            return Optional.empty();
        }
    }

    /** The name of a host; nothing stands for the kernel's name of this one. */
    static SettingType<String> hostName() {
        return new SettingType<>() {
            @Override
            public Optional<String> read(Object raw) {
                return raw instanceof String text && text.matches("[A-Za-z0-9._-]{0,253}")
                        ? Optional.of(text)
                        : Optional.empty();
            }

            @Override
            public String allowed() {
                return "up to 253 of A-Z a-z 0-9 . _ -, or nothing for the host's own name";
            }

            @Override
            public String show(String value) {
                return quote(value);
            }
        };
    }

    /** Numbers, or names that {@code names} knows. */
    static SettingType<Set<Integer>> ids(AccountNames names) {
        return new SettingType<>() {
            @Override
            public Optional<Set<Integer>> read(Object raw) {
                Set<Integer> ids = new TreeSet<>();
                for (Object element : elements(raw)) {
                    Optional<Integer> id = asLong(element)
                            .filter(value -> value >= 0 && value < 0xffff_ffffL)
                            .map(Long::intValue)
                            .or(() -> element instanceof String name ? names.find(name) : Optional.empty());
                    if (id.isEmpty()) {
                        return Optional.empty();
                    }
                    ids.add(id.get());
                }
                return Optional.of(ids);
            }

            @Override
            public String allowed() {
                return "a list of numbers and of names in " + names.file();
            }

            @Override
            public String show(Set<Integer> value) {
                return value.stream().map(Integer::toUnsignedString).collect(Collectors.joining(", ", "[", "]"));
            }
        };
    }

    /** Permission bits in octal. Execute bits mean nothing on a socket. */
    static SettingType<Integer> mode() {
        return new SettingType<>() {
            @Override
            public Optional<Integer> read(Object raw) {
                return raw instanceof String text && text.matches("0?[0246]{3}")
                        ? Optional.of(Integer.parseInt(text, 8))
                        : Optional.empty();
            }

            @Override
            public String allowed() {
                return "an octal mode without execute bits in quotes, for example \"0660\"";
            }

            @Override
            public String show(Integer value) {
                return "\"%04o\"".formatted(value);
            }
        };
    }

    /** {@code ADDRESS:PORT} at loopback, or {@code off}. Names are not resolved. */
    static SettingType<MetricsConfig> loopbackAddress() {
        return new SettingType<>() {
            @Override
            public Optional<MetricsConfig> read(Object raw) {
                if (raw.equals("off")) {
                    return Optional.of(new MetricsConfig(Optional.empty()));
                }
                return raw instanceof String text ? parse(text) : Optional.empty();
            }

            private Optional<MetricsConfig> parse(String text) {
                int colon = text.lastIndexOf(':');
                if (colon < 1) {
                    return Optional.empty();
                }
                try {
                    InetAddress address = InetAddress.ofLiteral(text.substring(0, colon));
                    int port = Integer.parseInt(text.substring(colon + 1));
                    return address.isLoopbackAddress() && port >= 0 && port <= 0xffff
                            ? Optional.of(new MetricsConfig(Optional.of(new InetSocketAddress(address, port))))
                            : Optional.empty();
                } catch (IllegalArgumentException e) {
                    return Optional.empty();
                }
            }

            @Override
            public String allowed() {
                return "\"off\" or a loopback address with port, for example \"127.0.0.1:9871\" or \"[::1]:0\"";
            }

            @Override
            public String show(MetricsConfig value) {
                return quote(value.address().map(SettingType::literal).orElse("off"));
            }
        };
    }

    /** A log level. */
    static SettingType<LogLevel> logLevel() {
        return new SettingType<>() {
            @Override
            public Optional<LogLevel> read(Object raw) {
                return raw instanceof String text ? LogLevel.named(text) : Optional.empty();
            }

            @Override
            public String allowed() {
                return "error, warn, info, debug or trace";
            }

            @Override
            public String show(LogLevel value) {
                return quote(value.configName());
            }
        };
    }

    private static Optional<Long> asLong(Object raw) {
        if (raw instanceof Long value) {
            return Optional.of(value);
        }
        // 19 digits may still be too large for a long.
        return raw instanceof String text && text.matches("-?[0-9]{1,18}")
                ? Optional.of(Long.parseLong(text))
                : Optional.empty();
    }

    /** A TOML array, or the parts of a text between commas. An empty text is an empty list. */
    private static Collection<?> elements(Object raw) {
        if (raw instanceof Collection<?> list) {
            return list;
        }
        if (!(raw instanceof String text)) {
            return List.of(raw);
        }
        List<String> parts = new ArrayList<>();
        if (!text.isBlank()) {
            for (String part : text.split(",", -1)) {
                parts.add(part.strip());
            }
        }
        return parts;
    }

    private static String literal(InetSocketAddress address) {
        String host = address.getAddress().getHostAddress();
        return (host.contains(":") ? "[" + host + "]" : host) + ":" + address.getPort();
    }

    private static String quote(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }
}
