package io.migrationd.migrationd;

import ch.qos.logback.classic.Level;
import ch.qos.logback.classic.LoggerContext;
import io.migrationd.migrationd.config.ConfigException;
import io.migrationd.migrationd.config.LoadedConfig;
import io.migrationd.migrationd.config.LogLevel;
import io.migrationd.migrationd.session.Failures;
import java.io.IOException;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Runs the daemon until it gets SIGTERM or SIGINT. */
@Command(
        name = "serve",
        mixinStandardHelpOptions = true,
        description = "Runs the daemon in the foreground until SIGTERM or SIGINT.")
final class ServeCommand implements Callable<Integer> {
    private static final Logger log = LoggerFactory.getLogger(ServeCommand.class);

    @Mixin
    private ConfigOptions options = new ConfigOptions();

    @Option(names = "--print-config", description = "Prints the configuration and where each value came from; ends.")
    private boolean printConfig;

    @Override
    public Integer call() throws InterruptedException {
        LoadedConfig loaded;
        try {
            loaded = options.load();
        } catch (ConfigException e) {
            System.err.println("migrationd: " + e.getMessage());
            return 2;
        }
        if (printConfig) {
            System.out.print(loaded.print());
            return 0;
        }
        logFrom(loaded.config().logLevel());
        try {
            serve(Daemon.start(loaded.config()));
            return 0;
        } catch (IOException e) {
            System.err.println("migrationd: " + Failures.describe(e));
            return 1;
        }
    }

    private static void serve(Daemon daemon) throws InterruptedException {
        CountDownLatch stopping = new CountDownLatch(1);
        CountDownLatch stopped = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(Thread.ofPlatform().name("stop").unstarted(() -> {
            stopping.countDown();
            try {
                // The JVM ends when this hook does: not before every part has stopped.
                stopped.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        stopping.await();
        log.atInfo().log("stopping");
        daemon.close();
        log.atInfo().log("stopped");
        stopped.countDown();
    }

    private static void logFrom(LogLevel level) {
        if (LoggerFactory.getILoggerFactory() instanceof LoggerContext context) {
            context.getLogger("io.migrationd").setLevel(Level.toLevel(level.configName()));
        }
    }
}
