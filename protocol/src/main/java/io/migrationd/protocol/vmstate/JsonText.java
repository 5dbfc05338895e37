package io.migrationd.protocol.vmstate;

/**
 * Builds JSON in the exact form of a trailing description: {@code ", "} and {@code ": "}, no line breaks, keys in the
 * order given, repeated ones allowed. Source: QEMU 10.0 qobject/json-writer.c.
 */
final class JsonText {
    private final StringBuilder text = new StringBuilder(256);
    private int muted;

    /** Takes calls and drops them. */
    static JsonText none() {
        JsonText none = new JsonText();
        none.mute();
        return none;
    }

    /** Drops what comes until {@link #unmute}; nests. */
    void mute() {
        muted++;
    }

    void unmute() {
        muted--;
    }

    void beginObject() {
        item("{");
    }

    void beginObject(String key) {
        member(key, "{");
    }

    void endObject() {
        raw("}");
    }

    void beginArray(String key) {
        member(key, "[");
    }

    void endArray() {
        raw("]");
    }

    void put(String key, long value) {
        member(key, Long.toString(value));
    }

    void put(String key, String value) {
        member(key, quote(value));
    }

    /** A member or, with {@link #beginArray} before it, an item that is JSON already. */
    void putJson(String key, String json) {
        member(key, json);
    }

    void item(String json) {
        separate();
        raw(json);
    }

    private void member(String key, String json) {
        separate();
        raw(quote(key));
        raw(": ");
        raw(json);
    }

    private void separate() {
        int last = text.length() - 1;
        if (last >= 0 && text.charAt(last) != '{' && text.charAt(last) != '[') {
            raw(", ");
        }
    }

    private void raw(String json) {
        if (muted == 0) {
            text.append(json);
        }
    }

    static String quote(String value) {
        StringBuilder quoted = new StringBuilder(value.length() + 2).append('"');
        for (int i = 0; i < value.length(); i++) {
            char c = value.charAt(i);
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < 0x20 || c > 0x7E) {
                quoted.append("\\u%04X".formatted((int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    @Override
    public String toString() {
        return text.toString();
    }
}
