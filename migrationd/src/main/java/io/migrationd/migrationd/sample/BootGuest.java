package io.migrationd.migrationd.sample;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;

/**
 * A guest that is its own firmware: started by {@code -bios} it fills RAM and then runs rounds for ever. RAM from 1
 * MiB:
 *
 * <pre>
 * cold pages        pseudo-random, written once; the first vCPU checks one of them in each round, or each more often
 * area of vCPU 0    control page, hot pages, blink pages
 * area of vCPU 1    the same
 * </pre>
 *
 * In each round a vCPU visits its hot and blink pages in order: it checks that the page still holds what the round
 * before wrote, and writes what this round demands. Hot pages change in nine places, blink pages are all zero in every
 * other round. The control page counts these steps, so that any image of the RAM has exactly one legal content, but for
 * the page in work. The first vCPU prints {@code R<round> <round of vCPU 1>} after each round; any vCPU that finds
 * damage prints {@code E<vcpu> <round> <page>}, all numbers as eight hex digits.
 *
 * @param delayLoops length of the pause after each page, in which the vCPU spins: it sets the dirty rate
 * @param coldChecks cold pages, all over them, that each vCPU checks after each of its own pages; 0: the first one
 *     checks one in each round
 * @param ramMebibytes RAM without the odd end of {@link #memoryBytes()}
 * @param restTicks instead of spinning, the first vCPU halts after each page until the timer has ticked so often, each
 *     1 ms: the host has its core for others; 0: it spins
 */
public record BootGuest(
        int vcpus,
        int coldPages,
        int hotPages,
        int blinkPages,
        int delayLoops,
        int coldChecks,
        int ramMebibytes,
        int restTicks) {
    /** Size of a page. */
    public static final int PAGE_BYTES = 4096;

    private static final int FIRMWARE_BYTES = 64 << 10;
    private static final int FIRMWARE_BASE = 0xF0000;
    private static final int RESET_VECTOR = 0xFFF0;
    private static final int STACK_TOP = 0x7000;
    private static final int COLD_BASE = 0x100000;
    private static final int ALIVE = 0x4447494D;
    private static final int STEP_OFFSET = 4;
    private static final int COLD_MARK = 0x80000000;
    private static final int APIC_BASE = 0xFEE00000;
    private static final int ROUND_FACTOR = 0x9E3779B1;
    private static final int PAGE_FACTOR = 0x85EBCA6B;
    private static final int LCG_FACTOR = 1664525;
    private static final int LCG_STEP = 1013904223;
    private static final int STRIDE = 0x200;
    private static final int LAST_DWORD = PAGE_BYTES - 4;
    private static final int BLINK_OFFSET = 0x20;
    private static final int LEAST_MEBIBYTES = 16;
    private static final int MOST_MEBIBYTES = 1024;
    /** Interrupt table in low RAM, of which only the timer's entry and that of spurious interrupts are used. */
    private static final int IDT = 0;

    private static final int TIMER_VECTOR = 0x20;
    private static final int SPURIOUS_VECTOR = 0x27;
    private static final int GATE_BYTES = 8;
    /** Present, 32 bits, interrupts off within. */
    private static final int INTERRUPT_GATE = 0x8E00;

    private static final int CODE_SEGMENT = 0x0008_0000;

    /** From one cold page to the next one to check: far enough that the page behind a requested one does not help. */
    private static final int COLD_STEP = 7919;

    /** Checks the sizes. */
    public BootGuest {
        if (vcpus < 1 || vcpus > 2 || coldPages < 1 || hotPages < 1 || blinkPages < 0 || delayLoops < 1) {
            throw new IllegalArgumentException("vcpus 1 or 2, cold and hot pages and delay at least 1");
        }
        if (restTicks < 0 || restTicks > 1000) {
            throw new IllegalArgumentException("0 to 1000 ticks of rest, not " + restTicks);
        }
        if (coldChecks < 0 || coldPages % COLD_STEP == 0) {
            throw new IllegalArgumentException(
                    "cold checks at least 0, cold pages no multiple of %d".formatted(COLD_STEP));
        }
        long used = COLD_BASE + PAGE_BYTES * (coldPages + (long) vcpus * (1 + hotPages + blinkPages));
        if (ramMebibytes < LEAST_MEBIBYTES || ramMebibytes > MOST_MEBIBYTES || used > (long) ramMebibytes << 20) {
            throw new IllegalArgumentException("%d MiB of RAM for %d bytes: expected room for them, and %d to %d MiB"
                    .formatted(ramMebibytes, used, LEAST_MEBIBYTES, MOST_MEBIBYTES));
        }
    }

    /** A guest of 16 MiB that looks at its cold pages now and then. */
    public BootGuest(int vcpus, int coldPages, int hotPages, int blinkPages, int delayLoops) {
        this(vcpus, coldPages, hotPages, blinkPages, delayLoops, 0, LEAST_MEBIBYTES, 0);
    }

    /** A guest with 1 MiB of cold pages and 64 hot pages for each vCPU; a round takes some 10 ms. */
    public static BootGuest standard(int vcpus) {
        return new BootGuest(vcpus, 256, 64, 4, 100_000);
    }

    /** The same with so much RAM, of which {@code coldMebibytes} are cold pages. */
    public BootGuest withRam(int mebibytes, int coldMebibytes) {
        int pages = coldMebibytes * (1 << 20) / PAGE_BYTES;
        return new BootGuest(vcpus, pages, hotPages, blinkPages, delayLoops, coldChecks, mebibytes, restTicks);
    }

    /** The same, with so many hot pages for each vCPU and that pause, in which it spins: what sets the dirty rate. */
    public BootGuest withHotPages(int pages, int loops) {
        return new BootGuest(vcpus, coldPages, pages, blinkPages, loops, coldChecks, ramMebibytes, 0);
    }

    /** The same, and it looks for its cold pages all the time: in postcopy most of its looks are faults. */
    public BootGuest touchingCold() {
        return new BootGuest(vcpus, coldPages, hotPages, blinkPages, delayLoops, 1, ramMebibytes, restTicks);
    }

    /** The same, and its first vCPU halts for 1 ms after each page: it leaves the host most of a core. */
    public BootGuest resting() {
        return new BootGuest(vcpus, coldPages, hotPages, blinkPages, delayLoops, coldChecks, ramMebibytes, 1);
    }

    /** The arguments of QEMU that belong to it, besides the machine; {@code firmware} holds {@link #firmware()}. */
    public List<String> qemuArguments(Path firmware) {
        return List.of("-m", memoryBytes() + "B", "-smp", Integer.toString(vcpus), "-bios", firmware.toString());
    }

    /**
     * RAM to give it: on purpose not a multiple of 256 KiB. For blocks of such lengths
     * cpu_physical_memory_sync_dirty_bitmap (QEMU 7.2 include/exec/ram_addr.h) takes a fast path that clears dirty bits
     * without telling TCG's TLB; with it, 7.2.22 lost writes of this guest in every live migration that we tried.
     */
    public long memoryBytes() {
        return ((long) ramMebibytes << 20) + 2 * PAGE_BYTES;
    }

    /** The 64 KiB image for {@code -bios}. It is mapped below 1 MiB and below 4 GiB. */
    public byte[] firmware() {
        Assembler a = new Assembler(FIRMWARE_BASE);
        enterProtectedMode(a);
        start(a);
        rounds(a);
        pages(a);
        coldCheck(a);
        serial(a);
        a.padTo(RESET_VECTOR).offset16("EA", "bsp").op("00 F0"); // jmp F000:bsp
        return a.padTo(FIRMWARE_BYTES).assemble();
    }

    /** Checks an image of the RAM, taken while the guest was stopped. */
    public RamReport verify(Path image) throws IOException {
        try (FileChannel file = FileChannel.open(image, StandardOpenOption.READ)) {
            ByteBuffer ram = file.map(FileChannel.MapMode.READ_ONLY, 0, file.size());
            return verify(ram.order(ByteOrder.LITTLE_ENDIAN));
        }
    }

    private RamReport verify(ByteBuffer ram) {
        List<String> damage = new ArrayList<>();
        verifyCold(ram, damage);
        List<Integer> rounds = new ArrayList<>();
        for (int vcpu = 0; vcpu < vcpus; vcpu++) {
            int step = ram.getInt(area(vcpu) + STEP_OFFSET);
            if (ram.getInt(area(vcpu)) != ALIVE) {
                damage.add("vCPU %d is not alive".formatted(vcpu));
            }
            rounds.add(roundOf(step));
            for (int page = 0; page < pagesPerVcpu(); page++) {
                verifyPage(ram, vcpu, page, step, damage);
            }
        }
        return new RamReport(List.copyOf(rounds), List.copyOf(damage));
    }

    private void verifyCold(ByteBuffer ram, List<String> damage) {
        for (int page = 0; page < coldPages; page++) {
            int value = page * ROUND_FACTOR + 1;
            for (int offset = 0; offset < PAGE_BYTES; offset += 4) {
                value = value * LCG_FACTOR + LCG_STEP;
                int found = ram.getInt(COLD_BASE + page * PAGE_BYTES + offset);
                if (found != value) {
                    damage.add(
                            "cold page %d offset 0x%x: expected %08x, got %08x".formatted(page, offset, value, found));
                    break;
                }
            }
        }
    }

    private void verifyPage(ByteBuffer ram, int vcpu, int page, int step, List<String> damage) {
        int inWork = Integer.remainderUnsigned(step, pagesPerVcpu());
        int round = page < inWork ? roundOf(step) : roundOf(step) - 1;
        int start = area(vcpu) + (1 + page) * PAGE_BYTES;
        for (int offset = 0; offset < PAGE_BYTES; offset += 4) {
            int found = ram.getInt(start + offset);
            boolean legal = found == expected(round, page, offset)
                    || (page == inWork && found == expected(round + 1, page, offset));
            if (!legal) {
                damage.add("vCPU %d page %d offset 0x%x: expected %08x of round %d (step %d), got %08x"
                        .formatted(vcpu, page, offset, expected(round, page, offset), round, step, found));
                return;
            }
        }
    }

    private int expected(int round, int page, int offset) {
        if (page >= hotPages) {
            return offset == BLINK_OFFSET ? round & 1 : 0;
        }
        if (offset == LAST_DWORD) {
            return round;
        }
        return offset % STRIDE == 0 ? round * ROUND_FACTOR + page * PAGE_FACTOR + offset : 0;
    }

    private int roundOf(int step) {
        return Integer.divideUnsigned(step, pagesPerVcpu()) + 1;
    }

    private int pagesPerVcpu() {
        return hotPages + blinkPages;
    }

    private int area(int vcpu) {
        return COLD_BASE + (coldPages + vcpu * (1 + pagesPerVcpu())) * PAGE_BYTES;
    }

    /** Byte 0 is where a start-up IPI with vector F0 sends the second vCPU. ebx is the number of the vCPU. */
    private static void enterProtectedMode(Assembler a) {
        a.op("FA"); // cli
        a.op("66 BB", 1); // mov ebx, 1
        a.jump16("E9", "common"); // jmp common
        a.label("bsp").op("FA"); // cli
        a.op("66 31 DB"); // xor ebx, ebx
        a.label("common").offset16("2E 66 0F 01 16", "gdtr"); // lgdt cs:[gdtr]
        a.op("0F 20 C0"); // mov eax, cr0
        a.op("0C 01"); // or al, 1
        a.op("0F 22 C0"); // mov cr0, eax
        a.address32("66 EA", "flat").op("08 00"); // jmp 08:flat
        // Flat segments. They are marked as accessed, because the CPU could not mark them in ROM.
        a.label("gdt").op("00 00 00 00 00 00 00 00");
        a.op("FF FF 00 00 00 9B CF 00");
        a.op("FF FF 00 00 00 93 CF 00");
        a.label("gdtr").op("17 00").address32("", "gdt");
    }

    /** Segments, stack and area of this vCPU (ebp); the first one fills the cold pages and wakes the second. */
    private void start(Assembler a) {
        a.label("flat").op("66 B8 10 00"); // mov ax, 0x10
        a.op("8E D8 8E C0 8E D0"); // mov ds, ax; mov es, ax; mov ss, ax
        a.op("FC"); // cld
        a.op("BC", STACK_TOP); // mov esp, top
        a.op("BD", area(0)); // mov ebp, area 0
        a.op("85 DB").jump("0F 84", "fill"); // test ebx, ebx; jz fill
        a.op("81 C4", PAGE_BYTES); // add esp, page
        a.op("BD", area(1)); // mov ebp, area 1
        a.op("C7 45 10", coldPages / 2); // mov [ebp+16], half (cold pages checked so far)
        a.jump("E9", "work"); // jmp work

        a.label("fill").op("BF", COLD_BASE); // mov edi, cold
        a.op("31 C9"); // xor ecx, ecx
        a.label("fillPage").jump("E8", "coldSeed"); // call coldSeed
        a.op("BA", PAGE_BYTES / 4); // mov edx, dwords
        a.label("fillDword").jump("E8", "coldNext"); // call coldNext
        a.op("AB"); // stosd
        a.op("4A").jump("0F 85", "fillDword"); // dec edx; jnz fillDword
        a.op("41"); // inc ecx
        a.op("81 F9", coldPages).jump("0F 82", "fillPage"); // cmp ecx, pages; jb fillPage
        if (vcpus > 1) {
            wakeSecond(a);
        }
    }

    /** A start-up IPI to a vCPU that already runs is ignored, so it is repeated until that one is alive. */
    private void wakeSecond(Assembler a) {
        a.op("BF", APIC_BASE); // mov edi, apic
        a.op("C7 87", 0x300, 0x000C4500); // mov [edi+ICR], INIT to all but self
        a.label("wake").op("B8", 1_000_000); // mov eax, count
        a.label("wakeWait").op("48").jump("0F 85", "wakeWait"); // dec eax; jnz wakeWait
        a.op("C7 87", 0x300, 0x000C46F0); // mov [edi+ICR], START-UP at F0000 to all but self
        a.op("81 3D", area(1), ALIVE).jump("0F 85", "wake"); // cmp [area 1], alive; jne wake
    }

    private void rounds(Assembler a) {
        if (restTicks > 0) {
            a.op("85 DB").jump("0F 85", "work"); // test ebx, ebx; jnz work
            startTimer(a);
        }
        a.label("work").op("31 C9"); // xor ecx, ecx
        a.label("first").jump("E8", "write"); // call write (round 0)
        a.op("41"); // inc ecx
        a.op("81 F9", pagesPerVcpu()).jump("0F 82", "first"); // cmp ecx, pages; jb first
        a.op("C7 45 00", ALIVE); // mov [ebp], alive

        a.label("round").op("FF 45 08"); // inc dword [ebp+8] (round)
        a.op("31 C9"); // xor ecx, ecx
        a.label("page").op("89 4D 0C"); // mov [ebp+12], ecx (index)
        a.jump("E8", "check"); // call check
        a.op("8B 4D 0C").jump("E8", "write"); // mov ecx, [ebp+12]; call write
        a.op("FF 45 04"); // inc dword [ebp+4] (step)
        rest(a);
        coldChecks(a);
        a.op("8B 4D 0C 41"); // mov ecx, [ebp+12]; inc ecx
        a.op("81 F9", pagesPerVcpu()).jump("0F 82", "page"); // cmp ecx, pages; jb page
        a.op("85 DB").jump("0F 85", "round"); // test ebx, ebx; jnz round
        if (coldChecks == 0) {
            a.jump("E8", "coldCheck"); // call coldCheck
        }
        a.jump("E8", "report"); // call report
        a.jump("E9", "round"); // jmp round
    }

    private void rest(Assembler a) {
        if (restTicks > 0) {
            a.op("85 DB").jump("0F 85", "spin"); // test ebx, ebx; jnz spin
            a.op("BA", restTicks); // mov edx, ticks
            a.label("halt").op("FB F4 FA"); // sti; hlt; cli
            a.op("4A").jump("0F 85", "halt"); // dec edx; jnz halt
            a.jump("E9", "rested"); // jmp rested
        }
        a.label("spin").op("BA", delayLoops); // mov edx, delay
        a.label("delay").op("4A").jump("0F 85", "delay"); // dec edx; jnz delay
        a.label("rested");
    }

    /** Timer 0 ticks at 1000 Hz; the interrupt controller passes on nothing else, and the handler only acknowledges. */
    private static void startTimer(Assembler a) {
        gate(a, TIMER_VECTOR);
        gate(a, SPURIOUS_VECTOR);
        a.address32("0F 01 1D", "idtr"); // lidt [idtr]
        a.op("C7 05", APIC_BASE + 0xF0, 0x1FF); // mov [apic+SVR], on
        a.op("C7 05", APIC_BASE + 0x350, 0x700); // mov [apic+LINT0], what the interrupt controller says
        out(a, 0x20, 0x11); // first controller: begin,
        out(a, 0x21, TIMER_VECTOR); // its vectors,
        out(a, 0x21, 0x04); // where the second one is,
        out(a, 0x21, 0x01); // 8086 mode,
        out(a, 0x21, 0xFE); // only the timer
        out(a, 0xA0, 0x11);
        out(a, 0xA1, TIMER_VECTOR + 8);
        out(a, 0xA1, 0x02);
        out(a, 0xA1, 0x01);
        out(a, 0xA1, 0xFF); // second controller: nothing
        out(a, 0x43, 0x34); // timer 0, rate generator
        out(a, 0x40, 0xA9); // 1193182 / 0x04A9 = 1000
        out(a, 0x40, 0x04);
        a.jump("E9", "work"); // jmp work
        a.label("tick").op("50"); // push eax
        out(a, 0x20, 0x20); // end of interrupt
        a.op("58 CF"); // pop eax; iret
        a.label("idtr").op("FF 07").op("", IDT); // limit, base
    }

    private static void gate(Assembler a, int vector) {
        int at = IDT + vector * GATE_BYTES;
        a.address32("B8", "tick"); // mov eax, tick
        a.op("89 C2"); // mov edx, eax
        a.op("25", 0xFFFF).op("0D", CODE_SEGMENT); // and eax, 0xFFFF; or eax, segment << 16
        a.op("A3", at); // mov [at], eax
        a.op("81 E2", 0xFFFF_0000).op("81 CA", INTERRUPT_GATE); // and edx, 0xFFFF0000; or edx, gate
        a.op("89 15", at + 4); // mov [at+4], edx
    }

    private static void out(Assembler a, int port, int value) {
        a.op("B0 %02X E6 %02X".formatted(value, port)); // mov al, value; out port, al
    }

    private void coldChecks(Assembler a) {
        if (coldChecks > 0) {
            a.op("C7 45 14", coldChecks); // mov [ebp+20], checks
            a.label("coldAgain").jump("E8", "coldCheck"); // call coldCheck
            a.op("FF 4D 14").jump("0F 85", "coldAgain"); // dec [ebp+20]; jnz coldAgain
        }
    }

    /** write and check: ecx is the index of the page. Both spoil eax, edx, esi and edi. */
    private void pages(Assembler a) {
        a.label("write").op("8B 45 08"); // mov eax, [ebp+8] (round)
        a.jump("E8", "locate"); // call locate
        a.jump("0F 83", "writeBlink"); // jae writeBlink
        a.label("writeDword").op("8D 04 16"); // lea eax, [esi+edx]
        a.op("89 04 17"); // mov [edi+edx], eax
        a.op("81 C2", STRIDE); // add edx, stride
        a.op("81 FA", PAGE_BYTES).jump("0F 82", "writeDword"); // cmp edx, page; jb writeDword
        a.op("8B 45 08"); // mov eax, [ebp+8]
        a.op("89 87", LAST_DWORD).op("C3"); // mov [edi+last], eax; ret
        a.label("writeBlink").op("83 E0 01"); // and eax, 1
        a.op("89 87", BLINK_OFFSET).op("C3"); // mov [edi+blink], eax; ret

        a.label("check").op("8B 45 08 48"); // mov eax, [ebp+8]; dec eax (round before)
        a.jump("E8", "locate"); // call locate
        a.jump("0F 83", "checkBlink"); // jae checkBlink
        a.op("3B 87", LAST_DWORD).jump("0F 85", "complain"); // cmp eax, [edi+last]; jne complain
        a.label("checkDword").op("8D 04 16"); // lea eax, [esi+edx]
        a.op("3B 04 17").jump("0F 85", "complain"); // cmp eax, [edi+edx]; jne complain
        a.op("81 C2", STRIDE); // add edx, stride
        a.op("81 FA", PAGE_BYTES).jump("0F 82", "checkDword"); // cmp edx, page; jb checkDword
        a.op("C3"); // ret
        a.label("checkBlink").op("83 E0 01"); // and eax, 1
        a.op("3B 87", BLINK_OFFSET).jump("0F 85", "complain").op("C3"); // cmp eax, [edi+blink]; jne complain; ret

        // Page of index ecx to edi, pattern of round eax to esi, 0 to edx; below if the page is a hot one.
        a.label("locate").op("69 F0", ROUND_FACTOR); // imul esi, eax, factor
        a.op("69 D1", PAGE_FACTOR); // imul edx, ecx, factor
        a.op("01 D6"); // add esi, edx
        a.op("89 CF C1 E7 0C"); // mov edi, ecx; shl edi, 12
        a.op("8D BC 2F", PAGE_BYTES); // lea edi, [edi+ebp+page]
        a.op("31 D2"); // xor edx, edx
        a.op("81 F9", hotPages).op("C3"); // cmp ecx, hot; ret
    }

    private void coldCheck(Assembler a) {
        a.label("coldCheck").op("FF 45 10 8B 45 10"); // inc [ebp+16]; mov eax, [ebp+16]
        a.op("69 C0", COLD_STEP).op("31 D2"); // imul eax, eax, step; xor edx, edx
        a.op("B9", coldPages).op("F7 F1"); // mov ecx, pages; div ecx
        a.op("89 D1"); // mov ecx, edx
        a.op("89 CF C1 E7 0C"); // mov edi, ecx; shl edi, 12
        a.op("81 C7", COLD_BASE); // add edi, cold
        a.jump("E8", "coldSeed"); // call coldSeed
        a.op("BA", PAGE_BYTES / 4); // mov edx, dwords
        a.label("coldDword").jump("E8", "coldNext"); // call coldNext
        a.op("3B 07").jump("0F 85", "coldDamaged"); // cmp eax, [edi]; jne coldDamaged
        a.op("83 C7 04"); // add edi, 4
        a.op("4A").jump("0F 85", "coldDword").op("C3"); // dec edx; jnz coldDword; ret
        a.label("coldDamaged").op("81 C9", COLD_MARK); // or ecx, mark
        a.jump("E9", "complain"); // jmp complain

        a.label("coldSeed").op("69 C1", ROUND_FACTOR).op("40 C3"); // imul eax, ecx, factor; inc eax; ret
        a.label("coldNext").op("69 C0", LCG_FACTOR); // imul eax, eax, factor
        a.op("05", LCG_STEP).op("C3"); // add eax, step; ret
    }

    /** report and complain print a line, complain of index ecx. All of this spoils eax and edx only. */
    private void serial(Assembler a) {
        a.label("complain").op("B0 45").jump("E8", "putc"); // mov al, 'E'; call putc
        a.op("89 D8").jump("E8", "puthex"); // mov eax, ebx; call puthex
        a.jump("E8", "space"); // call space
        a.op("8B 45 08").jump("E8", "puthex"); // mov eax, [ebp+8]; call puthex
        a.jump("E8", "space"); // call space
        a.op("89 C8").jump("E8", "puthex"); // mov eax, ecx; call puthex
        a.label("newline").op("B0 0A").jump("E9", "putc"); // mov al, '\n'; jmp putc

        a.label("report").op("B0 52").jump("E8", "putc"); // mov al, 'R'; call putc
        a.op("8B 45 08").jump("E8", "puthex"); // mov eax, [ebp+8]; call puthex
        a.jump("E8", "space"); // call space
        if (vcpus > 1) {
            a.op("A1", area(1) + 8); // mov eax, [area 1 + 8]
        } else {
            a.op("31 C0"); // xor eax, eax
        }
        a.jump("E8", "puthex"); // call puthex
        a.jump("E9", "newline"); // jmp newline

        a.label("puthex").op("51 56"); // push ecx; push esi
        a.op("89 C6"); // mov esi, eax
        a.op("B9", 8); // mov ecx, 8
        a.label("digit").op("C1 C6 04"); // rol esi, 4
        a.op("89 F0 83 E0 0F"); // mov eax, esi; and eax, 15
        a.op("3C 0A").jump("0F 82", "decimal"); // cmp al, 10; jb decimal
        a.op("04 27"); // add al, 'a' - '9' - 1
        a.label("decimal").op("04 30").jump("E8", "putc"); // add al, '0'; call putc
        a.op("49").jump("0F 85", "digit"); // dec ecx; jnz digit
        a.op("5E 59 C3"); // pop esi; pop ecx; ret

        a.label("space").op("B0 20"); // mov al, ' ', and on into putc
        a.label("putc").op("88 C4"); // mov ah, al
        a.op("66 BA FD 03"); // mov dx, COM1 line status
        a.label("putcWait").op("EC A8 20").jump("0F 84", "putcWait"); // in al, dx; test al, 0x20; jz putcWait
        a.op("66 BA F8 03"); // mov dx, COM1 data
        a.op("88 E0 EE C3"); // mov al, ah; out dx, al; ret
    }
}
