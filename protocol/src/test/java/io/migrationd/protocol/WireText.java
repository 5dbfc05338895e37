package io.migrationd.protocol;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Bytes as a test shows them: hexadecimal digits, {@code "text"}, and {@code 00*4096} for repetitions of a byte. */
public final class WireText {
    private static final Pattern TOKEN = Pattern.compile("\"([^\"]*)\"|([0-9a-f]{2})\\*(\\d+)|((?:[0-9a-f]{2})+)|\\s+");

    private WireText() {}

    /** The bytes that {@code text} stands for. */
    public static byte[] bytes(String text) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        Matcher token = TOKEN.matcher(text);
        int at = 0;
        while (at < text.length()) {
            if (!token.find(at) || token.start() != at) {
                throw new IllegalArgumentException("no bytes: " + text.substring(at));
            }
            if (token.group(1) != null) {
                out.writeBytes(token.group(1).getBytes(StandardCharsets.ISO_8859_1));
            } else if (token.group(2) != null) {
                byte[] one = HexFormat.of().parseHex(token.group(2));
                for (int i = 0; i < Integer.parseInt(token.group(3)); i++) {
                    out.writeBytes(one);
                }
            } else if (token.group(4) != null) {
                out.writeBytes(HexFormat.of().parseHex(token.group(4)));
            }
            at = token.end();
        }
        return out.toByteArray();
    }
}
