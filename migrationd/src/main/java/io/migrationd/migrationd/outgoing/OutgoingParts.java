package io.migrationd.migrationd.outgoing;

/** What the phases of one migration share. */
record OutgoingParts(
        OutgoingRequest request,
        OutgoingState state,
        RamSender ram,
        RamCounters counters,
        BandwidthMeter bandwidth,
        Timeline timeline,
        Switchover switchover) {}
