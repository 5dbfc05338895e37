package io.migrationd.it.scenario;

import io.migrationd.migrationd.control.MoveOperations;
import io.migrationd.migrationd.guest.qemu.GuestDefinitions;
import io.migrationd.migrationd.link.MigrationUri;
import io.migrationd.migrationd.link.session.*;
import io.migrationd.migrationd.orchestration.QemuMoves;
import io.migrationd.migrationd.sample.*;
import java.nio.file.*;
import java.util.*;
import org.junit.jupiter.api.Test;

class ShakeTest {
    @Test
    void moves() throws Exception {
        Path d = Files.createTempDirectory(Path.of("/tmp/mv"), "s");
        BootGuest guest = BootGuest.standard(1).withRam(64, 48);
        Path fw = Files.write(d.resolve("fw.bin"), guest.firmware());
        String qemu = System.getProperty("qemu", "qemu-system-x86_64");
        List<String> args = new ArrayList<>(List.of(qemu, "-machine", "pc-i440fx-7.2", "-accel", "tcg", "-nodefaults", "-display", "none"));
        args.addAll(guest.qemuArguments(fw));
        String uuid = UUID.randomUUID().toString();
        for (String h : List.of("a", "b")) {
            Files.createDirectories(d.resolve(h + "/guests.d"));
            List<String> argv = new ArrayList<>(args);
            argv.addAll(List.of("-serial", "file:" + d.resolve(h + "/serial.log")));
            String list = argv.stream().map(a -> "\"" + a + "\"").reduce((x, y) -> x + ", " + y).get();
            Files.writeString(d.resolve(h + "/guests.d/g.toml"), "kind = \"qemu\"\nuuid = \"" + uuid + "\"\nqmp = \"" + d.resolve(h + "/g.qmp") + "\"\n[incoming]\nargv = [" + list + "]\n");
        }
        List<String> cmd = new ArrayList<>(args);
        cmd.addAll(List.of("-name", "g", "-uuid", uuid, "-serial", "file:" + d.resolve("a/serial.log"), "-qmp", "unix:" + d.resolve("a/g.qmp") + ",server=on,wait=off"));
        System.out.println(String.join(" ", cmd));
        Process source = new ProcessBuilder(cmd).redirectErrorStream(true).redirectOutput(d.resolve("a/qemu.out").toFile()).start();
        PeerSettings ps = PeerSettings.DEFAULT;
        PeerLinks la = new PeerLinks(new PeerIdentity("a", UUID.randomUUID()), ps, Optional.empty());
        PeerLinks lb = new PeerLinks(new PeerIdentity("b", UUID.randomUUID()), ps, Optional.empty());
        try (QemuMoves b = QemuMoves.open(new QemuMoves.Setup(Files.createDirectories(d.resolve("b/state")), Files.createDirectories(d.resolve("b/run")), new GuestDefinitions(d.resolve("b/guests.d")), Optional.of(MigrationUri.parse("tcp:127.0.0.1:0")), Map.of(), "dev", 10), lb, (g, n, m) -> System.out.println("B " + n + " " + m));
             QemuMoves a = QemuMoves.open(new QemuMoves.Setup(Files.createDirectories(d.resolve("a/state")), Files.createDirectories(d.resolve("a/run")), new GuestDefinitions(d.resolve("a/guests.d")), Optional.empty(), Map.of("b", List.of(b.listening().get())), "dev", 10), la, (g, n, m) -> System.out.println("A " + n + " " + m))) {
            Thread.sleep(3000);
            String pc = System.getProperty("postcopy", "NEVER");
            MoveOperations.MoveWish wish = new MoveOperations.MoveWish("b", MoveOperations.PostcopyUse.valueOf(pc), Boolean.getBoolean("preempt"), Integer.getInteger("multifd", 0), null, null, null, null, null, Long.getLong("bw", 0L), null, null, 0);
            System.out.println("check " + a.operations().check("g", wish));
            System.out.println(a.operations().start("g", wish));
            long end = System.nanoTime() + 60_000_000_000L;
            while (System.nanoTime() < end) {
                var v = a.operations().find("g").get();
                if (v.outcome().isPresent()) { System.out.println(v); break; }
                Thread.sleep(200);
            }
            System.out.println(b.operations().moves());
            Thread.sleep(2000);
            System.out.println("rounds a " + SerialLog.of(d.resolve("a/serial.log")).lastRound() + " b " + SerialLog.of(d.resolve("b/serial.log")).lastRound() + " damage " + SerialLog.of(d.resolve("b/serial.log")).damage() + " alive " + source.isAlive());
            System.out.println(a.operations().report("g"));
        } finally {
            source.destroyForcibly();
            la.close(); lb.close();
            for (ProcessHandle p : ProcessHandle.allProcesses().toList()) if (p.info().commandLine().orElse("").contains(d.toString())) p.destroyForcibly();
        }
    }
}
