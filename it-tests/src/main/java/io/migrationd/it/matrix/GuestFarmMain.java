package io.migrationd.it.matrix;

import io.migrationd.migrationd.sample.SampleGuestCommand;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import picocli.CommandLine;

/**
 * Many sample guests in one process: a JVM for each would cost more than its migration. Standard input has a line for
 * each order, {@code start NAME OPTION...} or {@code end NAME}; the end of the input ends the process.
 */
public final class GuestFarmMain {
    private final Map<String, SampleGuestCommand> guests = new ConcurrentHashMap<>();

    private GuestFarmMain() {}

    /** Runs until standard input ends. */
    public static void main(String[] arguments) throws IOException {
        var farm = new GuestFarmMain();
        var orders = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String order = orders.readLine(); order != null; order = orders.readLine()) {
            farm.obey(order.split(" "));
        }
        System.exit(0);
    }

    private void obey(String[] words) {
        String name = words[1];
        if (words[0].equals("start")) {
            var guest = new SampleGuestCommand();
            guests.put(name, guest);
            Thread.ofPlatform()
                    .name("farm-" + name)
                    .start(() -> run(name, guest, Arrays.copyOfRange(words, 2, words.length)));
        } else {
            SampleGuestCommand guest = guests.remove(name);
            if (guest != null) {
                guest.end();
            }
        }
    }

    @SuppressWarnings("SystemOut") // For the log of the farm.
    private void run(String name, SampleGuestCommand guest, String[] options) {
        int code = new CommandLine(guest).execute(options);
        System.out.println("guest " + name + " ended with " + code);
    }
}
