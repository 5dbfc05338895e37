package io.migrationd.migrationd.guest.qemu;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.core.JsonParseException;
import io.migrationd.migrationd.qmp.Json;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

@DisplayName("What QEMU says of a migration")
class QemuMigrationTest {
    @Test
    void emptyMeansThatNothingEverHappened() throws JsonParseException {
        QemuMigration info = read("{}");
        assertThat(info.status()).isEqualTo(QemuStatus.NONE);
        assertThat(info.ram()).isEmpty();
        assertThat(info.postcopy()).isEmpty();
        assertThat(info.blockedReasons()).isEmpty();
    }

    @Test
    void readsASourceInPostcopy() throws JsonParseException {
        QemuMigration info = read("""
                {"status": "postcopy-active", "total-time": 900, "setup-time": 4, "expected-downtime": 300,
                 "error-desc": "broken", "cpu-throttle-percentage": 70, "remaining": 5,
                 "ram": {"transferred": 1, "remaining": 2, "total": 3, "duplicate": 4, "normal": 5, "normal-bytes": 6,
                  "dirty-pages-rate": 7, "mbps": 8.5, "dirty-sync-count": 9, "postcopy-requests": 10, "page-size": 4096,
                  "multifd-bytes": 11, "pages-per-second": 12, "precopy-bytes": 13, "downtime-bytes": 14, "postcopy-bytes": 15}}""");
        assertThat(info.status()).isEqualTo(QemuStatus.POSTCOPY_ACTIVE);
        assertThat(info.ram())
                .contains(new QemuMigration.Ram(1, 2, 3, 4, 5, 6, 7, 8.5, 9, 10, 4096, 11, 12, 13, 14, 15));
        assertThat(info.error()).contains("broken");
        assertThat(info.totalMillis()).hasValue(900);
        assertThat(info.setupMillis()).hasValue(4);
        assertThat(info.expectedDowntimeMillis()).hasValue(300);
        assertThat(info.downtimeMillis()).isEmpty();
        assertThat(info.cpuThrottlePercent()).hasValue(70);
        assertThat(info.remainingBytes()).hasValue(5);
    }

    @Test
    void readsADestination() throws JsonParseException {
        QemuMigration info = read("""
                {"status": "completed", "postcopy-blocktime": 12, "postcopy-vcpu-blocktime": [3, 4],
                 "postcopy-latency": 55, "postcopy-latency-dist": [0, 1],
                 "socket-address": [{"type": "inet", "host": "::1", "port": "4"}, {"type": "inet", "host": "h", "port": "5"},
                                    {"type": "unix", "path": "/a"}, {"type": "vsock", "cid": "1", "port": "2"}]}""");
        QemuMigration.Postcopy postcopy = info.postcopy().orElseThrow();
        assertThat(postcopy.blocktimeMillis()).hasValue(12);
        assertThat(postcopy.vcpuBlocktimeMillis()).containsExactly(3L, 4L);
        assertThat(postcopy.latencyNanos()).hasValue(55);
        assertThat(postcopy.latencyDistribution()).containsExactly(0L, 1L);
        assertThat(info.listening()).isEqualTo(List.of("tcp:[::1]:4", "tcp:h:5", "unix:/a"));
    }

    @Test
    void keepsTheNameOfAStatusThatIsNew() throws JsonParseException {
        QemuMigration info = read("{\"status\": \"teleporting\", \"blocked-reasons\": [\"a\", \"b\"]}");
        assertThat(info.status()).isEqualTo(QemuStatus.UNKNOWN);
        assertThat(info.statusText()).isEqualTo("teleporting");
        assertThat(info.status().isIdle()).isFalse();
        assertThat(info.blockedReasons()).containsExactly("a", "b");
    }

    @ParameterizedTest
    @EnumSource
    void findsEachStatusByItsName(QemuStatus status) {
        assertThat(QemuStatus.named(status.qmpName())).isEqualTo(status);
    }

    @Test
    void readsBlocksOfBothFormats() {
        assertThat(QemuBlock.ofInfoRamblock("""
                              Block Name    PSize              Offset               Used              Total
                                  pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000
                    /rom@etc/acpi/tables    2 MiB  0x0000000004080000 0x0000000000020000 0x0000000000200000
                """))
                .containsExactly(
                        new QemuBlock("pc.ram", 4096, 64 << 20, 64 << 20),
                        new QemuBlock("/rom@etc/acpi/tables", 2 << 20, 0x20000, 0x200000));
        assertThat(QemuBlock.ofInfoRamblock("""
                              Block Name    PSize              Offset               Used              Total                HVA  RO
                                  pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000 0x00007f6fafe00000  rw
                                            4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000 0x00007f6fafe00000  rw
                """)).containsExactly(new QemuBlock("pc.ram", 4096, 64 << 20, 64 << 20));
    }

    private static QemuMigration read(String json) throws JsonParseException {
        return QemuMigration.of(Json.parseObject(json));
    }
}
