package io.migrationd.protocol.stream;

import io.migrationd.protocol.wire.ProtocolException;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.UUID;

/**
 * Does a received configuration fit this side? The checks and their order are those of a QEMU destination (10.0
 * migration/savevm.c, configuration_post_load and configuration_validate_capabilities).
 */
public final class ConfigurationCheck {
    /** Capabilities that must be on at both sides or at none, because they change the stream. */
    public static final Set<String> VALIDATED = Set.of("x-ignore-shared", "mapped-ram");

    /** Every capability of QEMU 7.2 to 11.1. A name outside of it is refused, as QEMU does. */
    private static final Set<String> KNOWN = Set.of(
            "xbzrle",
            "rdma-pin-all",
            "auto-converge",
            "zero-blocks",
            "compress",
            "events",
            "postcopy-ram",
            "x-colo",
            "release-ram",
            "block",
            "return-path",
            "pause-before-switchover",
            "multifd",
            "dirty-bitmaps",
            "postcopy-blocktime",
            "late-block-activate",
            "x-ignore-shared",
            "validate-uuid",
            "background-snapshot",
            "zero-copy-send",
            "postcopy-preempt",
            "switchover-ack",
            "dirty-limit",
            "mapped-ram");

    private ConfigurationCheck() {}

    /**
     * Compares machine type, guest page size, capabilities and uuid, in this order.
     *
     * @return warnings: what could not be checked
     * @throws ProtocolException at the first of the four that does not fit
     */
    public static List<String> check(ReceivedConfiguration received, LocalConfiguration local)
            throws ProtocolException {
        checkMachineType(received, local);
        checkPageBits(received, local);
        checkCapabilities(received, local);
        return checkUuid(received, local);
    }

    private static void checkMachineType(ReceivedConfiguration received, LocalConfiguration local)
            throws ProtocolException {
        String machineType = received.configuration().machineType();
        // QEMU compares over the received length only, so a prefix of the local name passes there and must pass here.
        if (!local.machineType().startsWith(machineType)) {
            throw new ProtocolException(
                    "configuration.machine-type",
                    received.machineTypeOffset(),
                    "machine type " + Printable.quote(local.machineType()),
                    Printable.quote(machineType));
        }
    }

    private static void checkPageBits(ReceivedConfiguration received, LocalConfiguration local)
            throws ProtocolException {
        int bits = received.configuration().targetPageBits().orElse(local.implicitPageBits());
        if (bits != local.targetPageBits()) {
            throw new ProtocolException(
                    "configuration/target-page-bits",
                    received.targetPageBitsOffset(),
                    "guest pages of " + (1L << local.targetPageBits()) + " bytes",
                    (1L << bits) + " bytes");
        }
    }

    private static void checkCapabilities(ReceivedConfiguration received, LocalConfiguration local)
            throws ProtocolException {
        List<String> sent = received.configuration().capabilities();
        List<String> differences = new ArrayList<>();
        for (String name : sent) {
            if (!KNOWN.contains(name)) {
                differences.add("unknown capability " + Printable.quote(name));
            }
        }
        VALIDATED.stream().sorted().forEach(name -> {
            if (sent.contains(name) != local.capabilities().contains(name)) {
                differences.add(
                        name + (sent.contains(name) ? " on at the source only" : " on at the destination only"));
            }
        });
        if (!differences.isEmpty()) {
            throw new ProtocolException(
                    "configuration/capabilities",
                    received.capabilitiesOffset(),
                    "the same validated capabilities on both sides",
                    String.join("; ", differences));
        }
    }

    private static List<String> checkUuid(ReceivedConfiguration received, LocalConfiguration local)
            throws ProtocolException {
        if (received.configuration().uuid().isEmpty()) {
            return List.of();
        }
        UUID uuid = received.configuration().uuid().get();
        if (local.uuid().isEmpty()) {
            return List.of("the source says its machine is " + uuid + ", but this machine has no uuid to compare");
        }
        if (!uuid.equals(local.uuid().get())) {
            throw new ProtocolException(
                    "configuration/uuid",
                    received.uuidOffset(),
                    "uuid " + local.uuid().get(),
                    uuid);
        }
        return List.of();
    }
}
