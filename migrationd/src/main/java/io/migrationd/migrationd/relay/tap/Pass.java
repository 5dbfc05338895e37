package io.migrationd.migrationd.relay.tap;

/**
 * One run of the source over the guest's RAM, as seen on the main channel. QEMU marks no passes. By our rule a pass
 * ends where the scan falls back: at a page whose place (order of the block list, then offset) is not behind the place
 * of the page before; at a MULTIFD_FLUSH mark in a PART, because with multifd the pages are on other channels; and at
 * the first END, which begins the last pass, made while the guest stands. QEMU's {@code dirty-sync-count} may count
 * more: it also looks at the dirty log in the middle of a scan.
 *
 * @param number from 1
 * @param bytes of the RAM bodies, headers included
 * @param startOffset of its first record in the stream
 * @param last true for the pass that the guest's stop began
 */
public record Pass(int number, PageCounts pages, long bytes, long startOffset, boolean last) {}
