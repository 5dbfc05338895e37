package io.migrationd.protocol.vmstate;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("Dump of descriptions")
class VmStateDumpTest {
    @Test
    void hasTheFormOfDumpVmstate() {
        VmStateDescription<DynamicState> inner = VmStateDescription.<DynamicState>named("inner", 1)
                .fields(DynamicFields.array(ScalarType.UINT16, "regs", Count.fixed(4)))
                .build();
        VmStateDescription<DynamicState> device = VmStateDescription.<DynamicState>named("dev", 3)
                .minimumVersion(2)
                .fields(
                        DynamicFields.scalar(ScalarType.UINT8, "a").when((s, version) -> true),
                        Fields.validation("checked", s -> true),
                        DynamicFields.struct("inner", inner).since(3))
                .subsections(VmStateDescription.<DynamicState>named("dev/x", 1).build())
                .build();

        String json = VmStateDump.json("pc-1.0", new TreeMap<>(Map.of("my-device", device)));

        assertThat(json).isEqualTo("""
                {
                  "vmschkmachine": {
                    "Name": "pc-1.0"
                  },
                  "my-device": {
                    "Name": "my-device",
                    "version_id": 3,
                    "minimum_version_id": 2,
                    "Description": {
                      "name": "dev",
                      "version_id": 3,
                      "minimum_version_id": 2,
                      "Fields": [
                        {
                          "field": "a",
                          "version_id": 0,
                          "field_exists": true,
                          "size": 1
                        },
                        {
                          "field": "inner",
                          "version_id": 3,
                          "field_exists": false,
                          "size": 8,
                          "Description": {
                            "name": "inner",
                            "version_id": 1,
                            "minimum_version_id": 1,
                            "Fields": [
                              {
                                "field": "regs",
                                "version_id": 0,
                                "field_exists": false,
                                "num": 4,
                                "size": 2
                              }
                            ]
                          }
                        }
                      ],
                      "Subsections": [
                        {
                          "name": "dev/x",
                          "version_id": 1,
                          "minimum_version_id": 1
                        }
                      ]
                    }
                  }
                }
                """);
    }
}
