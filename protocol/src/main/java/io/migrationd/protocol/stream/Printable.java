package io.migrationd.protocol.stream;

/** Names and texts that a peer sent, made fit for a message: one line, visible characters, bounded. */
public final class Printable {
    private static final int MAX_CHARS = 300;

    private Printable() {}

    /** {@code text} in single quotes; what is not printable ASCII, a quote or a backslash appears as {@code \xNN}. */
    public static String quote(String text) {
        StringBuilder quoted = new StringBuilder(text.length() + 2).append('\'');
        for (int i = 0; i < Math.min(text.length(), MAX_CHARS); i++) {
            char c = text.charAt(i);
            if (c >= ' ' && c < 0x7f && c != '\'' && c != '\\') {
                quoted.append(c);
            } else {
                quoted.append("\\x%02x".formatted((int) c));
            }
        }
        return quoted.append(text.length() > MAX_CHARS ? "..." : "")
                .append('\'')
                .toString();
    }
}
