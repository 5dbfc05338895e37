package io.migrationd.migrationd.sample;

import java.io.ByteArrayOutputStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;

/**
 * Just enough of an x86 assembler: opcodes are written as hex, labels and 32-bit operands are filled in. Jumps are
 * always near, with the operand size of the mode in which they run.
 */
final class Assembler {
    private record Fixup(int at, int lengthBytes, String label, boolean relative) {}

    private final int base;
    private final ByteArrayOutputStream code = new ByteArrayOutputStream();
    private final Map<String, Integer> labels = new HashMap<>();
    private final List<Fixup> fixups = new ArrayList<>();

    /** {@code base} is the address at which byte 0 will run. */
    Assembler(int base) {
        this.base = base;
    }

    Assembler label(String name) {
        if (labels.put(name, code.size()) != null) {
            throw new IllegalArgumentException("label " + name + " is defined twice");
        }
        return this;
    }

    /** Bytes as they are. */
    Assembler op(String hex) {
        code.writeBytes(HexFormat.of().parseHex(hex.replace(" ", "")));
        return this;
    }

    /** Bytes, then 32-bit operands. */
    Assembler op(String hex, int... operands) {
        op(hex);
        for (int operand : operands) {
            little(operand, 4);
        }
        return this;
    }

    /** A jump or call whose operand is the 32-bit distance to {@code label}. */
    Assembler jump(String hex, String label) {
        op(hex);
        return fixup(4, label, true);
    }

    /** A jump of 16-bit code. */
    Assembler jump16(String hex, String label) {
        op(hex);
        return fixup(2, label, true);
    }

    /** Bytes, then the offset of {@code label} from byte 0 as 16 bits: an address in a segment that starts there. */
    Assembler offset16(String hex, String label) {
        op(hex);
        return fixup(2, label, false);
    }

    /** Bytes, then the address of {@code label} as 32 bits. */
    Assembler address32(String hex, String label) {
        op(hex);
        return fixup(4, label, false);
    }

    /** Zeroes up to {@code offset}. */
    Assembler padTo(int offset) {
        if (offset < code.size()) {
            throw new IllegalStateException("code of " + code.size() + " bytes reaches beyond offset " + offset);
        }
        code.writeBytes(new byte[offset - code.size()]);
        return this;
    }

    byte[] assemble() {
        byte[] bytes = code.toByteArray();
        for (Fixup fixup : fixups) {
            Integer target = labels.get(fixup.label);
            if (target == null) {
                throw new IllegalStateException("label " + fixup.label + " is not defined");
            }
            int end = fixup.at + fixup.lengthBytes;
            int value = fixup.relative ? target - end : fixup.lengthBytes == 4 ? base + target : target;
            for (int i = 0; i < fixup.lengthBytes; i++) {
                bytes[fixup.at + i] = (byte) (value >> (8 * i));
            }
        }
        return bytes;
    }

    private Assembler fixup(int lengthBytes, String label, boolean relative) {
        fixups.add(new Fixup(code.size(), lengthBytes, label, relative));
        little(0, lengthBytes);
        return this;
    }

    private void little(int value, int lengthBytes) {
        for (int i = 0; i < lengthBytes; i++) {
            code.write(value >> (8 * i));
        }
    }
}
