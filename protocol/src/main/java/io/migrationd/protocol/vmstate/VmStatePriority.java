package io.migrationd.protocol.vmstate;

/**
 * Order in which a source saves sections: higher first, then by registration. It has no wire image, and a destination
 * takes sections in any order. Source: QEMU 11.0 include/migration/vmstate.h, {@code MigrationPriority}.
 */
public enum VmStatePriority {
    /** After everything else. */
    LOW,
    /** Most devices. */
    DEFAULT,
    /** Interrupt controllers of CPUs. */
    APIC,
    /** Translation before the devices that use it. */
    IOMMU,
    /** A bus before the devices on it. */
    PCI_BUS,
    /** Which memory is plugged, before anyone touches it. */
    VIRTIO_MEM,
    /** Interrupt translation before what raises interrupts. */
    GICV3_ITS,
    /** Before the ITS. */
    GICV3
}
