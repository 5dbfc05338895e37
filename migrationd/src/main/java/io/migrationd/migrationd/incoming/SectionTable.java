package io.migrationd.migrationd.incoming;

import io.migrationd.protocol.wire.ProtocolException;
import java.util.HashMap;
import java.util.Map;

/**
 * The section ids that a stream has introduced. Ids are the source's choice and mean nothing beyond one stream. In
 * postcopy two threads read sections, the package and what follows it: thread-safe.
 */
final class SectionTable {
    /** More sections than any machine has. */
    static final int MAX_SECTIONS = 65_536;

    /** A section as its START or FULL introduced it. */
    record Introduced(String idstr, int instanceId, int version) {}

    private final Map<Integer, Introduced> byId = new HashMap<>();

    synchronized void introduce(long offset, int sectionId, Introduced section) throws ProtocolException {
        if (byId.size() >= MAX_SECTIONS) {
            throw new ProtocolException("section.id", offset, "at most " + MAX_SECTIONS + " sections", "one more");
        }
        byId.put(sectionId, section);
    }

    synchronized boolean knows(int sectionId) {
        return byId.containsKey(sectionId);
    }

    /** Who a PART or END belongs to. */
    synchronized Introduced require(long offset, int sectionId) throws ProtocolException {
        Introduced section = byId.get(sectionId);
        if (section == null) {
            throw new ProtocolException(
                    "section.id", offset, "a section that a START has introduced", Integer.toUnsignedString(sectionId));
        }
        return section;
    }
}
