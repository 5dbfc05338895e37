package io.migrationd.postcopy;

import java.io.IOException;

/** Asks the source for memory that the guest waits for. Several threads may ask at once. */
@FunctionalInterface
public interface PageRequester {
    /** Asks for one host page. Fails when there is no connection now; the page is then asked for again later. */
    void requestPages(String block, long start, int lengthBytes) throws IOException;
}
