package io.migrationd.migrationd.outgoing;

import io.migrationd.migrationd.guest.Guest;
import io.migrationd.postcopy.memory.RamBlock;
import io.migrationd.returnpath.PageRequestLimits;
import java.util.Map;
import java.util.OptionalLong;
import java.util.stream.Collectors;

/** What a page request of the destination is measured against. */
final class GuestPageLimits implements PageRequestLimits {
    private static final int BASE_PAGE_BYTES = 4096;

    private final Map<String, Long> lengths;

    GuestPageLimits(Guest guest) {
        lengths = guest.ram().stream().collect(Collectors.toUnmodifiableMap(RamBlock::name, RamBlock::lengthBytes));
    }

    @Override
    public int hostPageBytes() {
        return BASE_PAGE_BYTES;
    }

    @Override
    public OptionalLong usedBytes(String block) {
        Long length = lengths.get(block);
        return length == null ? OptionalLong.empty() : OptionalLong.of(length);
    }
}
