package io.migrationd.migrationd.guest.process;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import io.migrationd.migrationd.guest.process.GuestHello.Region;
import io.migrationd.postcopy.memory.FdRamBlock;
import io.migrationd.postcopy.memory.SharedMapping;
import io.migrationd.postcopy.memory.WriteTracking;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** A VMM in this process: two blocks, one device, and whatever the test makes it say. */
final class FakeVmm implements AutoCloseable {
    static final long BLOCK_BYTES = 1 << 20;

    final List<FdRamBlock> blocks = new ArrayList<>();
    final List<SharedMapping> mappings = new ArrayList<>();
    final WriteTracking tracking;
    /** What it promises. */
    boolean postcopy = true;

    FakeVmm() throws Exception {
        for (String name : List.of("ram", "rom")) {
            FdRamBlock block = FdRamBlock.createMemory("vmm." + name, BLOCK_BYTES);
            blocks.add(block);
            mappings.add(SharedMapping.of(block));
        }
        tracking = WriteTracking.of(mappings);
    }

    GuestHello hello(GuestMode mode) throws Exception {
        List<Region> regions = new ArrayList<>();
        for (int i = 0; i < blocks.size(); i++) {
            long hostVirtual = mappings.get(i).segment().address();
            regions.add(new Region(blocks.get(i).name(), i * BLOCK_BYTES, hostVirtual, BLOCK_BYTES, 4096, i + 1, 0));
        }
        JsonNode device = new JsonMapper().readTree("""
                {"name": "uart", "instance-id": 0, "version": 2, "minimum-version": 1,
                 "fields": [{"name": "level", "type": "uint8"},
                            {"name": "fifo", "type": "uint8", "length-field": "level", "array-len": 16}]}""");
        return new GuestHello(
                "web01",
                Optional.empty(),
                ProcessHandle.current().pid(),
                "vmm-1.0",
                4096,
                mode,
                3,
                List.copyOf(regions),
                List.of(device),
                postcopy);
    }

    List<Integer> descriptors() {
        return List.of(tracking.fd(), blocks.get(0).fd(), blocks.get(1).fd());
    }

    @Override
    public void close() {
        tracking.close();
        mappings.forEach(SharedMapping::close);
        blocks.forEach(FdRamBlock::close);
    }
}
