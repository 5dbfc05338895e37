package io.migrationd.postcopy.os;

import static java.lang.foreign.MemoryLayout.structLayout;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemoryLayout;
import java.lang.foreign.StructLayout;
import java.util.stream.Stream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@DisplayName("ioctl numbers")
class IoctlTest {
    private static final int WRITE = 1;
    private static final int READ = 2;
    private static final int READ_WRITE = READ | WRITE;

    private static final StructLayout UFFDIO_RANGE =
            structLayout(JAVA_LONG.withName("start"), JAVA_LONG.withName("len"));
    private static final StructLayout UFFDIO_API =
            structLayout(JAVA_LONG.withName("api"), JAVA_LONG.withName("features"), JAVA_LONG.withName("ioctls"));
    private static final StructLayout UFFDIO_REGISTER =
            structLayout(UFFDIO_RANGE, JAVA_LONG.withName("mode"), JAVA_LONG.withName("ioctls"));
    private static final StructLayout UFFDIO_COPY = structLayout(
            JAVA_LONG.withName("dst"),
            JAVA_LONG.withName("src"),
            JAVA_LONG.withName("len"),
            JAVA_LONG.withName("mode"),
            JAVA_LONG.withName("copy"));
    private static final StructLayout UFFDIO_ZEROPAGE =
            structLayout(UFFDIO_RANGE, JAVA_LONG.withName("mode"), JAVA_LONG.withName("zeropage"));
    private static final StructLayout UFFDIO_WRITEPROTECT = structLayout(UFFDIO_RANGE, JAVA_LONG.withName("mode"));
    private static final StructLayout PM_SCAN_ARG = structLayout(
            JAVA_LONG.withName("size"),
            JAVA_LONG.withName("flags"),
            JAVA_LONG.withName("start"),
            JAVA_LONG.withName("end"),
            JAVA_LONG.withName("walk_end"),
            JAVA_LONG.withName("vec"),
            JAVA_LONG.withName("vec_len"),
            JAVA_LONG.withName("max_pages"),
            JAVA_LONG.withName("category_inverted"),
            JAVA_LONG.withName("category_mask"),
            JAVA_LONG.withName("category_anyof_mask"),
            JAVA_LONG.withName("return_mask"));

    /** include/uapi/asm-generic/ioctl.h: direction in bits 30 and 31, size from bit 16, type from bit 8, number. */
    @ParameterizedTest(name = "{0}")
    @MethodSource("ioctls")
    void numberFollowsFromLayout(String name, int constant, int direction, int type, int number, long bytes) {
        assertThat(constant).as(name).isEqualTo(direction << 30 | (int) bytes << 16 | type << 8 | number);
    }

    static Stream<Arguments> ioctls() {
        return Stream.of(
                ioctl("USERFAULTFD_IOC_NEW", Ioctl.USERFAULTFD_IOC_NEW, 0, 0xAA, 0x00, structLayout()),
                ioctl("UFFDIO_API", Ioctl.UFFDIO_API, READ_WRITE, 0xAA, 0x3F, UFFDIO_API),
                ioctl("UFFDIO_REGISTER", Ioctl.UFFDIO_REGISTER, READ_WRITE, 0xAA, 0x00, UFFDIO_REGISTER),
                ioctl("UFFDIO_UNREGISTER", Ioctl.UFFDIO_UNREGISTER, READ, 0xAA, 0x01, UFFDIO_RANGE),
                ioctl("UFFDIO_WAKE", Ioctl.UFFDIO_WAKE, READ, 0xAA, 0x02, UFFDIO_RANGE),
                ioctl("UFFDIO_COPY", Ioctl.UFFDIO_COPY, READ_WRITE, 0xAA, 0x03, UFFDIO_COPY),
                ioctl("UFFDIO_ZEROPAGE", Ioctl.UFFDIO_ZEROPAGE, READ_WRITE, 0xAA, 0x04, UFFDIO_ZEROPAGE),
                ioctl("UFFDIO_MOVE", Ioctl.UFFDIO_MOVE, READ_WRITE, 0xAA, 0x05, UFFDIO_COPY),
                ioctl("UFFDIO_WRITEPROTECT", Ioctl.UFFDIO_WRITEPROTECT, READ_WRITE, 0xAA, 0x06, UFFDIO_WRITEPROTECT),
                ioctl("UFFDIO_CONTINUE", Ioctl.UFFDIO_CONTINUE, READ_WRITE, 0xAA, 0x07, UFFDIO_ZEROPAGE),
                ioctl("UFFDIO_POISON", Ioctl.UFFDIO_POISON, READ_WRITE, 0xAA, 0x08, UFFDIO_ZEROPAGE),
                ioctl("PAGEMAP_SCAN", Ioctl.PAGEMAP_SCAN, READ_WRITE, 'f', 0x10, PM_SCAN_ARG));
    }

    private static Arguments ioctl(
            String name, int constant, int direction, int type, int number, MemoryLayout layout) {
        return Arguments.of(name, constant, direction, type, number, layout.byteSize());
    }

    @Test
    void sizesOfStructsAreThoseOfTheKernel() {
        StructLayout pageRegion =
                structLayout(JAVA_LONG.withName("start"), JAVA_LONG.withName("end"), JAVA_LONG.withName("categories"));
        StructLayout uffdMessage = structLayout(
                MemoryLayout.paddingLayout(8),
                JAVA_LONG.withName("flags"),
                JAVA_LONG.withName("address"),
                JAVA_INT.withName("ptid"),
                MemoryLayout.paddingLayout(4));
        assertThat(PagemapScan.ARGUMENT_BYTES).isEqualTo(PM_SCAN_ARG.byteSize());
        assertThat(PagemapScan.REGION_BYTES).isEqualTo(pageRegion.byteSize());
        assertThat(UffdMessages.MESSAGE_BYTES).isEqualTo(uffdMessage.byteSize());
    }
}
