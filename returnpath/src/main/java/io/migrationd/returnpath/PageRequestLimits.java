package io.migrationd.returnpath;

import java.util.OptionalLong;

/** What the source knows of its memory and needs to judge a page request. Called by the return path's thread. */
public interface PageRequestLimits {
    /** The page size of the source's host in bytes. Start and length of a request are multiples of it. */
    int hostPageBytes();

    /** The used length of a block in bytes; empty if there is no such block. */
    OptionalLong usedBytes(String block);
}
