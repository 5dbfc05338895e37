package io.migrationd.it.fault;

import java.util.function.Consumer;

/** A postcopy preempt channel: page records and nothing around them, an end mark last from QEMU 7.2. */
final class PreemptScanner extends PageScanner {
    PreemptScanner(PageTally tally, Consumer<Mark> found) {
        super(tally, found);
        records();
    }

    @Override
    protected void bodyEnded() {
        stop();
    }

    @Override
    protected boolean isPostcopy() {
        return true;
    }

    @Override
    protected Place firstPage() {
        return Place.PREEMPT_FIRST_PAGE;
    }

    @Override
    protected Place inPageHeader() {
        return Place.PREEMPT_IN_PAGE_HEADER;
    }

    @Override
    protected Place inPage() {
        return Place.PREEMPT_IN_PAGE;
    }
}
