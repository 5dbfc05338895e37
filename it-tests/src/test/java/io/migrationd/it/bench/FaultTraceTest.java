package io.migrationd.it.bench;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Faults in the trace of a QEMU")
class FaultTraceTest {
    @Test
    void aFaultLastsFromItsFirstRequestToItsPage() {
        FaultTimes times = FaultTrace.timesOf(List.of(
                "31@1700000000.999900:postcopy_ram_fault_thread_request Request for HVA=0x7f10 rb=m0 offset=0x10 pid=9",
                "31@1700000000.999950:postcopy_place_page host=0x7f20",
                "31@1700000000.999960:postcopy_ram_fault_thread_request Request for HVA=0x7f10 rb=m0 offset=0x10 pid=8",
                "31@1700000001.000200:postcopy_place_page host=0x7f10",
                "31@1700000002.000000:postcopy_ram_fault_thread_request Request for HVA=0x7f30 rb=m0 offset=0x30 pid=9",
                "31@1700000002.000100:postcopy_place_page_zero host=0x7f30",
                "31@1700000003.000000:postcopy_ram_fault_thread_request Request for HVA=0x7f40 rb=m0 offset=0x40 pid=9",
                "something else"));
        assertThat(times).isEqualTo(new FaultTimes(2, 300, 300, 300));
    }

    /** QEMU 11.1. */
    @Test
    void aLineMayBeginWithADate() {
        FaultTimes times = FaultTrace.timesOf(List.of(
                "2026-11-28T12:53:47.999900Z postcopy_ram_fault_thread_request Request for HVA=0x7f10 rb=m0 offset=0x10",
                "2026-11-28T12:53:48.000050Z postcopy_place_page host=0x7f10"));
        assertThat(times).isEqualTo(new FaultTimes(1, 150, 150, 150));
    }

    @Test
    void aTraceWithoutFaultsHasNoTimes() {
        assertThat(FaultTrace.timesOf(List.of())).isEqualTo(new FaultTimes(0, 0, 0, 0));
    }
}
