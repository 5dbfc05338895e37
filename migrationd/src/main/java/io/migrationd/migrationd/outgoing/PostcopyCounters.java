package io.migrationd.migrationd.outgoing;

import java.util.concurrent.atomic.AtomicLong;

/** What the source did in postcopy, in guest pages but for the requests. Any thread reads. */
final class PostcopyCounters {
    final AtomicLong requests = new AtomicLong();
    final AtomicLong droppedRequests = new AtomicLong();
    final AtomicLong urgentPages = new AtomicLong();
    final AtomicLong nearPages = new AtomicLong();
    final AtomicLong backgroundPages = new AtomicLong();
}
